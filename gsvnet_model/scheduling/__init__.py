# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""When a keyframe is due: signals, an estimate of quality, and policies."""

from gsvnet_model.ops.changed_cells import changed_cells, where_moving
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.budget import BudgetPolicy
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.observed import observed_disagreement
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.scheduling.quality import FrameQuality, QualityModel
from gsvnet_model.scheduling.signals import SIGNAL_NAMES, frame_signals

__all__ = [
    "SIGNAL_NAMES",
    "AdaptivePolicy",
    "BudgetPolicy",
    "FixedPolicy",
    "FrameQuality",
    "KeyframePolicy",
    "QualityModel",
    "changed_cells",
    "frame_signals",
    "observed_disagreement",
    "where_moving",
]
