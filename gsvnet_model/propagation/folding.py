# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Batch normalisation folded into the convolution before it."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_Network = TypeVar("_Network", bound=nn.Module)


def folded(network: _Network) -> _Network:
    """Return a copy for inference that has no batch normalisation left to compute.

    Every block of `conv_norm_activation` becomes a convolution with other weights and an
    activation in place; the results are the same up to rounding.

    Args:
        network: any network built from such blocks; it is not changed.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for block in network.modules():
        names = [name for name, _ in block.named_children()]
        if names == ["conv", "norm", "activation"]:
            conv, norm, activation = block.children()
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            assert isinstance(activation, nn.ReLU | nn.LeakyReLU)
            activation.inplace = True
            block.add_module("conv", fuse_conv_bn_eval(conv, norm))
            block.add_module("norm", nn.Identity())
    return network
