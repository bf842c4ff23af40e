# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
# The thread policy below must be set before anything imports torch: ruff: noqa: E402
"""GSVNet: fast semantic segmentation of video (library, no ROS).

`load_model` reads weights, `VideoSegmenter` labels a stream frame by frame::

    segmenter = VideoSegmenter(load_model())
    for image in images:  # (H, W, 3) uint8 RGB
        segmentation = segmenter.step(image)
"""

import os

# Read by the OpenMP runtime when torch is first imported. Threads that spin while they wait for
# one another stop the whole frame as soon as another process wants a core: on two loaded cores a
# propagated frame took 1600 ms spinning and 10 ms sleeping.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from gsvnet_model.checkpoint import load_model, save_model
from gsvnet_model.classes import CAMVID, CITYSCAPES, IGNORE_INDEX, ClassTable
from gsvnet_model.model import ModelInfo, SegmentationModel
from gsvnet_model.segmenter import DEFAULT_KEYFRAME_INTERVAL, Segmentation, VideoSegmenter

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
