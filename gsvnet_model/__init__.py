# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
# The thread policy below must be set before anything imports torch: ruff: noqa: E402
"""GSVNet: fast semantic segmentation of video (library, no ROS).

`load_model` reads weights, `VideoSegmenter` labels a stream frame by frame::

    segmenter = VideoSegmenter(load_model())
    for image in images:  # (H, W, 3) uint8 RGB
        segmentation = segmenter.step(image)
"""

import os
from typing import TYPE_CHECKING

# The OpenMP runtime reads these variables when torch is first imported. Worker threads spin between
# layers, because a thread that sleeps takes as long to wake up as a small layer takes to compute.
# That is fast only on idle cores: a thread that spins on a core that another process wants stops
# the whole frame. So the library starts no more threads than there are idle cores (see
# `free_cores`), and threads spin for a few milliseconds at most. GNU's runtime counts turns instead
# of time, and does not spin at all where there are more threads than cores.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")

from gsvnet_model.checkpoint import load_model
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.outputs.classes import CAMVID, CITYSCAPES, IGNORE_INDEX, ClassTable
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL, Segmentation, VideoSegmenter

if TYPE_CHECKING:
    from gsvnet_model.checkpoint import save_model
else:

    def __getattr__(name: str) -> object:
        """Import what a node does not need at its first use."""
        if name != "save_model":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from gsvnet_model.checkpoint import save_model

        return save_model


__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "DEFAULT_KEYFRAME_INTERVAL",
    "IGNORE_INDEX",
    "ClassTable",
    "ModelInfo",
    "Segmentation",
    "SegmentationModel",
    "VideoSegmenter",
    "load_model",
    "save_model",
]
