# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The keyframe networks released with SwiftNet and GSVNet: SwiftNet-R18 and BiSeNet-R18."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

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
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.keyframe.swiftnet import SwiftNet
from gsvnet_model.outputs.classes import MAX_CLASSES

Triple = tuple[float, float, float]

# Our modules and the released ones; inside ResNet-18 the names are the same.
_SWIFTNET_MODULES = {
    "encoder": "backbone",
    "spp.reduce": "backbone.spp.spp.spp_bn",
    **{f"spp.levels.{i}": f"backbone.spp.spp.spp{i}" for i in range(3)},
    "spp.fuse": "backbone.spp.spp.spp_fuse",
    **{f"decoder.{i}.skip": f"backbone.upsample.{i}.bottleneck" for i in range(3)},
    **{f"decoder.{i}.blend": f"backbone.upsample.{i}.blend_conv" for i in range(3)},
    "logits": "logits",
}

_BISENET_MODULES = {
    "context": "context_path",
    **{
        f"spatial.{i}.{ours}": f"spatial_path.{layer}.{theirs}"
        for i, layer in enumerate(("conv_7x7", "conv_3x3_1", "conv_3x3_2", "conv_1x1"))
        for ours, theirs in (("conv", "conv"), ("norm", "bn"))
    },
    "global_context.conv": "global_context.1.conv",
    "global_context.norm": "global_context.1.bn",
    **{
        f"attention.{i}.{ours}": f"arms.{i}.{theirs}"
        for i in range(2)
        for ours, theirs in (
            ("reduce.conv", "conv_3x3.conv"),
            ("reduce.norm", "conv_3x3.bn"),
            ("gate.conv", "channel_attention.1.conv"),
            ("gate.norm", "channel_attention.1.bn"),
        )
    },
    **{f"refine.{i}.conv": f"refines.{i}.conv" for i in range(2)},
    **{f"refine.{i}.norm": f"refines.{i}.bn" for i in range(2)},
    "fusion.blend.conv": "ffm.conv_1x1.conv",
    "fusion.blend.norm": "ffm.conv_1x1.bn",
    "fusion.squeeze": "ffm.channel_attention.1.conv",
    "fusion.excite": "ffm.channel_attention.2.conv",
    **{
        f"{head}.{ours}": f"heads.{i}.{theirs}"
        for i, head in enumerate(("auxiliary.0", "auxiliary.1", "head"))
        for ours, theirs in (
            ("blend.conv", "conv_3x3.conv"),
            ("blend.norm", "conv_3x3.bn"),
            ("logits", "conv_1x1"),
        )
    },
}


class ReleasedKeyframe(NamedTuple):
    """A released keyframe network under our names.

    Attributes:
        architecture: ``swiftnet_r18`` or ``bisenet_r18``.
        num_classes: Classes K.
        state_dict: Tensors for ``SwiftNet`` or ``BiSeNet``, complete.
        mean: Mean of the RGB pixels the network was trained with, on the scale 0..255.
        std: Standard deviation of these pixels, same scale.
    """

    architecture: str
    num_classes: int
    state_dict: dict[str, Tensor]
    mean: Triple
    std: Triple


def read_released_keyframe(path: str | Path) -> ReleasedKeyframe:
    """Read a released SwiftNet-R18 or BiSeNet-R18; both take RGB.

    Args:
        path: File written by ``torch.save``: a state dict, bare or in a dict under one of the
            usual keys; see `find_state_dict`. Code in the file is never run.

    Returns:
        The network under our names.

    Raises:
        ValueError: If the file is not such a checkpoint; lists the tensors that differ.
        OSError: If the file cannot be opened.
    """
    path = Path(path)
    released = find_state_dict(read_torch_file(path), path)
    if any(name.startswith("spatial_path.") for name in released):
        num_classes = size_of(released, "heads.2.conv_1x1.weight", 0, 19, MAX_CLASSES)
        state_dict = rename(released, lambda: BiSeNet(num_classes), _BISENET_MODULES, path)
        usual = Normalisation.imagenet()
        return ReleasedKeyframe("bisenet_r18", num_classes, state_dict, usual.mean, usual.std)
    if any(name.startswith("backbone.") for name in released):
        num_classes = size_of(released, "logits.conv.weight", 0, 19, MAX_CLASSES)
        usual = Normalisation.swiftnet()
        mean = _statistics(released, "backbone.img_mean", usual.mean, path)
        std = _statistics(released, "backbone.img_std", usual.std, path)
        state_dict = rename(released, lambda: SwiftNet(num_classes), _SWIFTNET_MODULES, path)
        return ReleasedKeyframe("swiftnet_r18", num_classes, state_dict, mean, std)
    raise ValueError(
        f"{path}: expected tensors named 'backbone...' (SwiftNet-R18) or 'spatial_path...' "
        f"(BiSeNet-R18), got {listed(released)}; give a released keyframe checkpoint"
    )


def _statistics(released: StateDict, name: str, default: Triple, path: Path) -> Triple:
    """Take the normalisation out of the checkpoint: it is no part of our network."""
    stored = released.pop(name, None)
    if stored is None:
        return default
    if math.prod(stored.shape) != 3:
        raise ValueError(f"{path}: {name}: expected 3 values, got {stored.shape}")
    # Rounded because the buffers hold float32 neighbours of the decimal numbers.
    red, green, blue = (
        round(float(value), 4) for value in read_tensor(name, stored, path).flatten()
    )
    return red, green, blue
