# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Parameters and multiply-adds of both networks, as in the paper's table of costs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gsvnet_lab.universal.network import UniversalPropagation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork


@dataclass(frozen=True)
class NetworkCost:
    """Size of one network and its work per frame.

    Attributes:
        parameters: number of trained parameters, without the statistics of batch normalisation.
        multiply_adds: multiply-adds of the convolutions on one frame.
    """

    parameters: int
    multiply_adds: int

    @property
    def megabytes(self) -> float:
        """The parameters in MB of 1e6 bytes at float32, the paper's unit."""
        return 4e-6 * self.parameters


@dataclass(frozen=True)
class Complexity:
    """The cost of both networks on images of one size.

    Attributes:
        size: (height, width) of the images.
        keyframe: cost of a keyframe.
        propagation: cost of a propagated frame.
        flow: the flow network's part of the cost of a propagated frame: all that warping alone
            needs.
    """

    size: tuple[int, int]
    keyframe: NetworkCost
    propagation: NetworkCost
    flow: NetworkCost

    def multiply_adds(self, interval: int) -> float:
        """Return the multiply-adds per frame, averaged over a keyframe interval."""
        between = (interval - 1) * self.propagation.multiply_adds
        return (self.keyframe.multiply_adds + between) / interval


def measure_complexity(
    keyframe: nn.Module,
    propagation: PropagationNetwork | UniversalPropagation,
    info: ModelInfo,
    size: tuple[int, int],
) -> Complexity:
    """Count what both networks cost on images of one size; nothing is computed.

    Convolutions alone are counted, of the networks as trained. The paper's tool also counted
    bias, normalisation and activations, which adds 0.5 % to SwiftNet and 3 % to the propagation.
    Parameters are all that the keyframe network holds, heads for training included.

    Args:
        keyframe: the keyframe network.
        propagation: the propagation network.
        info: info of the weights: input scale, grid, number of classes.
        size: (height, width) of the images.

    Raises:
        ValueError: if the images have no pixel.

    See:
        Paper Sec. 4 (parameters and GFLOPs of keyframes and other frames).
    """
    inputs = _meta(1, 3, *info.input_size(*size))
    grid = info.grid_size(*size)
    state, image = _meta(1, info.classes.num_classes, *grid), _meta(1, 3, *grid)
    return Complexity(
        size,
        _cost(keyframe, lambda network: network(inputs)),
        _cost(propagation, lambda network: network(state, image, image)),
        _cost(propagation.flow, lambda network: network(image, image)),
    )


def _meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


@torch.no_grad()
def _cost(network: nn.Module, run: Callable[[nn.Module], object]) -> NetworkCost:
    # Tensors without memory: shapes are followed through the network, and that is all.
    shapes = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        run(shapes)
    # The counter sees two operations in a multiply-add.
    return NetworkCost(
        sum(parameter.numel() for parameter in network.parameters()),
        counter.get_total_flops() // 2,
    )
