# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
# The thread policy below must be set before anything imports torch: ruff: noqa: E402
"""GSVNet: fast semantic segmentation of video (library, no ROS).

`load_model` reads weights, `VideoSegmenter` labels a stream frame by frame::

    segmenter = VideoSegmenter(load_model())
    for image in images:  # (H, W, 3) uint8 RGB
        segmentation = segmenter.step(image)
"""

import os

# Read by the OpenMP runtime when torch is first imported. Threads that sleep while they wait for
# one another take as long to wake up as a small layer to compute; threads that spin for long stop
# the whole frame as soon as another process wants a core. So they spin for a few milliseconds at
# most (GNU's counts turns, which take longer on one processor than on another), not at all where
# there are more of them than cores, and there are no more of them than cores that are free (see
# `free_cores`).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")

from gsvnet_model.checkpoint import load_model, save_model
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.outputs.classes import CAMVID, CITYSCAPES, IGNORE_INDEX, ClassTable
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL, Segmentation, VideoSegmenter

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
