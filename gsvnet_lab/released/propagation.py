# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The propagation network released with GSVNet, with FlowLight."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gsvnet_lab.released.state_dict import (
    StateDict,
    find_state_dict,
    listed,
    read_tensor,
    rename,
    size_of,
)
from gsvnet_lab.released.torch_file import read_torch_file
from gsvnet_model.checkpoint.metadata import MAX_INTRA_CHANNELS
from gsvnet_model.networks.propagation.kernels import KERNEL_SIZES, ideal_delay_kernels
from gsvnet_model.networks.propagation.step import PropagationConfig, PropagationNetwork
from gsvnet_model.outputs.classes import MAX_CLASSES

_KERNELS = "ideal_dk.filter_copy_s"

# First convolutions that take BGR images in the released networks, and the order of their input
# channels that makes them take RGB. The flow network takes the current and the previous image.
_BGR_INPUTS = {
    "intra.body.0.conv.weight": [2, 1, 0],
    "flow.stem.0.conv.weight": [2, 1, 0, 5, 4, 3],
}

# Our modules and the released ones.
_MODULES = {
    **{
        f"flow.{module}.{ours}": f"{released}.{theirs}"
        for module, released in (
            ("stem.0", "conv1"),
            ("stem.1", "conv2"),
            *((f"dilated.{i}", f"conv_dilate_{i + 1}") for i in range(4)),
            ("merge", "conv_merge"),
        )
        for ours, theirs in (("conv", 0), ("norm", 1))
    },
    "flow.head": "toflow",
    "kernels.weight": "ideal_dk.filter_copy_s",
    "intra.body.0.conv": "intra_net.intra_net.0",
    "intra.body.0.norm": "intra_net.intra_net.1",
    "intra.body.1.conv": "intra_net.intra_net.3",
    "intra.body.1.norm": "intra_net.intra_net.4",
    "intra.head": "intra_net.intra_net.6",
    "guide.encoder.0.conv": "guide.guide_conv.0",
    "guide.encoder.0.norm": "guide.guide_conv.1",
    "guide.encoder.1.conv": "guide.guide_conv_feat.0",
    "guide.encoder.1.norm": "guide.guide_conv_feat.1",
    "guide.encoder.2.conv": "guide.guide_conv_feat.3",
    "guide.encoder.2.norm": "guide.guide_conv_feat.4",
    "guide.decoder.0.conv": "guide.guide_deconv.1",
    "guide.decoder.0.norm": "guide.guide_deconv.2",
    "guide.decoder.1.conv": "guide.guide_deconv.5",
    "guide.decoder.1.norm": "guide.guide_deconv.6",
    "guide.head.conv": "guide.guide_decoder.0",
    "guide.head.norm": "guide.guide_decoder.1",
}


class ReleasedPropagation(NamedTuple):
    """A released propagation network under our names.

    Attributes:
        config: Configuration of the network, read from the tensors.
        state_dict: Tensors for ``PropagationNetwork(config)``, complete, for RGB images.
    """

    config: PropagationConfig
    state_dict: dict[str, Tensor]


def read_released_propagation(path: str | Path) -> ReleasedPropagation:
    """Read a released GSVNet checkpoint with FlowLight.

    The released flow and intra networks take BGR images. Here, and nowhere else, their first
    convolutions are turned to RGB.

    Args:
        path: File written by ``torch.save``: a dict with ``state_dict`` (intra network, guiding
            network and kernels) and ``state_dict_of`` (flow network). Code in the file is never
            run.

    Returns:
        The network under our names. Kernels other than the ideal delays become learned ones.

    Raises:
        ValueError: If the file is not such a checkpoint; lists the tensors that differ.
        OSError: If the file cannot be opened.
    """
    path = Path(path)
    content = read_torch_file(path)
    if not isinstance(content, dict) or not {"state_dict", "state_dict_of"} <= content.keys():
        got = listed(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path}: expected a dict with 'state_dict' and 'state_dict_of', got {got}; give a "
            "released GSVNet checkpoint"
        )
    released = find_state_dict(content["state_dict"], path)
    released |= find_state_dict(content["state_dict_of"], path)
    kernels = released.get(_KERNELS)
    if kernels is not None and kernels.shape[1:3] == (1, 1):
        # Released for a 3-D convolution with one channel and depth 1.
        released[_KERNELS] = dataclasses.replace(
            kernels,
            shape=kernels.shape[:1] + kernels.shape[3:],
            stride=kernels.stride[:1] + kernels.stride[3:],
        )
    config = _propagation_config(released, path)
    state_dict = rename(released, lambda: PropagationNetwork(config), _MODULES, path)
    for name, order in _BGR_INPUTS.items():
        state_dict[name] = state_dict[name][:, order]
    return ReleasedPropagation(config, state_dict)


def _propagation_config(released: StateDict, path: Path) -> PropagationConfig:
    kernels = released.get(_KERNELS)
    kernel_size = kernels.shape[-1] if kernels is not None and kernels.shape else 3
    if kernel_size not in KERNEL_SIZES:
        kernel_size = KERNEL_SIZES[0]  # the shapes are then reported as different
    ideal = ideal_delay_kernels(kernel_size)
    is_learned = (
        kernels is not None
        and kernels.shape == tuple(ideal.shape)
        and not torch.equal(read_tensor(_KERNELS, kernels, path).float(), ideal)
    )
    return PropagationConfig(
        num_classes=size_of(released, "intra_net.intra_net.6.weight", 0, 19, MAX_CLASSES),
        kernel_size=kernel_size,
        learned_kernels=is_learned,
        intra_channels=size_of(released, "intra_net.intra_net.0.weight", 0, 32, MAX_INTRA_CHANNELS),
    )
