# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Models and images for measurements: any number of classes, a rendered street drive."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gsvnet_lab.benchmark.released_arrangement import ReleasedArrangement
from gsvnet_lab.data.images import BUILT_IN, open_images
from gsvnet_model.checkpoint import default_weights, read_networks
from gsvnet_model.hardware.device import choose_device, choose_precision
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.outputs.classes import ClassTable

_HANDICAP = 4.0
"""Difference by which the logits of copied classes are lower than the originals'."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model and the images that it labels.

    Attributes:
        size: (height, width) of the images.
        num_classes: classes of the model; not fewer than the weights have.
        scale: keyframe input pixels per image pixel; 0 is what the weights are meant for.
        weights: checkpoint, None for the shipped one.
        device: device of the model; see `load_model`.
        precision: precision of the keyframe network; see `load_model`.
    """

    size: tuple[int, int]
    num_classes: int
    scale: float
    weights: Path | None
    device: str
    precision: str

    def model(self) -> SegmentationModel:
        """Return the model; see `networks`."""
        device = choose_device(self.device)
        return SegmentationModel(*self.networks(), device, choose_precision(self.precision, device))

    def released_arrangement(self) -> ReleasedArrangement:
        """Return the baseline of the same weights on the same device."""
        return ReleasedArrangement(*self.networks(), choose_device(self.device))

    def networks(self) -> tuple[nn.Module, PropagationNetwork, ModelInfo]:
        """Return both networks, float32 on the CPU, and their info.

        Classes beyond those of the weights are copies of the first classes with lower logits. So
        the cost is that of a model with so many classes, and the label map has the boundaries of
        the trained model. Random weights would give noise, which is slower to label than anything
        a camera sees.

        Raises:
            ValueError: if the weights have more classes.
        """
        keyframe, propagation, info = read_networks(self.weights or default_weights())
        known = info.classes.num_classes
        if self.num_classes < known:
            raise ValueError(
                f"expected {known} classes or more, as the weights have, got {self.num_classes}"
            )
        if self.num_classes > known:
            keyframe = _with_classes(keyframe, known, self.num_classes)
            propagation = _propagation_with_classes(propagation, self.num_classes)
        names = tuple(f"class {index}" for index in range(self.num_classes))
        palette = tuple((index, index, index) for index in range(self.num_classes))
        classes = ClassTable(names, palette)
        own = info.at_scale(self.scale) if self.scale else info
        # A copied class has the additive logit of its original.
        bias = info.logit_adjustment and tuple(
            info.logit_adjustment[index % known] for index in range(self.num_classes)
        )
        info = dataclasses.replace(own, classes=classes, logit_adjustment=bias)
        return keyframe, propagation, info

    def images(self, count: int) -> list[NDArray[np.uint8]]:
        """Return consecutive images of the built-in street drive."""
        return list(open_images(BUILT_IN, *self.size, num_images=count).images())


def _with_classes(network: nn.Module, known: int, num_classes: int) -> nn.Module:
    """Return a copy of a keyframe network with more classes in its output layers."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.out_channels == known:
                setattr(parent, name, _with_outputs(layer, num_classes))
    return network


def _propagation_with_classes(network: PropagationNetwork, num_classes: int) -> PropagationNetwork:
    """Return a copy of a propagation network with more classes, which its guide ignores."""
    known = network.config.num_classes
    wide = PropagationNetwork(dataclasses.replace(network.config, num_classes=num_classes))
    state = network.state_dict()
    if network.intra is not None:
        head = _with_outputs(network.intra.head, num_classes)
        state.update({"intra.head.weight": head.weight, "intra.head.bias": head.bias})
    name = "guide.encoder.0.conv.weight"
    added = state[name].new_zeros(state[name].shape[0], num_classes - known, 3, 3)
    state[name] = torch.cat((state[name][:, :known], added, state[name][:, known:]), dim=1)
    wide.load_state_dict(state)
    return wide


def _with_outputs(layer: nn.Conv2d, num_classes: int) -> nn.Conv2d:
    """Return a convolution with more outputs: the added outputs repeat the first, but lower."""
    assert layer.bias is not None  # every output layer of this package has one
    repeats, rows = divmod(torch.arange(num_classes).numpy(), layer.out_channels)
    wide = copy.deepcopy(layer)
    wide.out_channels = num_classes
    wide.weight = nn.Parameter(layer.weight.detach()[rows])
    lower = _HANDICAP * torch.from_numpy(repeats)
    wide.bias = nn.Parameter(layer.bias.detach()[rows] - lower)
    return wide
