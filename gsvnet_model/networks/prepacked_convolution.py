# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Convolutions whose weights lie as the CPU's kernels want them, for inference.

PyTorch brings the weights of a convolution into that order at every call. On small maps this is
up to a quarter of the time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

_Network = TypeVar("_Network", bound=nn.Module)


class PrepackedConvolution(nn.Module):
    """A convolution with packed weights and the activation after it in the same pass.

    Args:
        conv: a convolution on the CPU, with zeros as padding; see `can_prepack`.
        activation: the activation that follows the convolution; None if there is none.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.ReLU | nn.LeakyReLU | None) -> None:
        super().__init__()
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.activation: tuple[str, list[float], str] = ("none", [], "")
        if isinstance(activation, nn.ReLU):
            self.activation = ("relu", [], "")
        elif isinstance(activation, nn.LeakyReLU):
            self.activation = ("leaky_relu", [activation.negative_slope], "")
        self.bias = None if conv.bias is None else conv.bias.detach()
        # Packed for maps of any size.
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in channels, H, W) to (N, out channels, h, w)."""
        return cast(
            Tensor,
            torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self.geometry, *self.activation
            ),
        )


def prepack_convolutions(network: _Network) -> _Network:
    """Pack the convolutions of a network in place, with the activations after them.

    The results are the same up to rounding: before an activation there is none any more. Where
    packing cannot be done the network stays as it is.

    Args:
        network: any network on its device and in its precision, batch normalisation fused.

    Returns:
        The network; no longer to be copied or saved.
    """
    for module in list(network.modules()):
        in_order = isinstance(module, nn.Sequential)
        children = [
            item for item in module.named_children() if not isinstance(item[1], nn.Identity)
        ]
        for (name, child), (next_name, following) in pairwise([*children, ("", None)]):
            if isinstance(child, nn.Conv2d) and can_prepack(child):
                activation = None
                if in_order and isinstance(following, nn.ReLU | nn.LeakyReLU):
                    activation = following
                    setattr(module, next_name, nn.Identity())
                setattr(module, name, PrepackedConvolution(child, activation))
    return network


def can_prepack(conv: nn.Conv2d) -> bool:
    """Return whether this PyTorch has the kernels for a convolution where it lies."""
    weight = conv.weight
    return (
        weight.device.type == "cpu"
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and (
            weight.dtype == torch.float32
            or (weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
        )
    )
