# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Synthetic motion: video with exact labels and flow out of labelled stills."""

from gsvnet_lab.motion.camera import MotionRanges
from gsvnet_lab.motion.cutouts import Cutout, collect_cutouts
from gsvnet_lab.motion.frame import MovingFrame
from gsvnet_lab.motion.scene import SceneRoles
from gsvnet_lab.motion.still import moving_still

__all__ = [
    "Cutout",
    "MotionRanges",
    "MovingFrame",
    "SceneRoles",
    "collect_cutouts",
    "moving_still",
]
