# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From parameters to the policy that decides about a camera's keyframes."""

from __future__ import annotations

from gsvnet_model.model_info import ModelInfo
from gsvnet_model.scheduling import AdaptivePolicy, BudgetPolicy, FixedPolicy, KeyframePolicy
from gsvnet_ros.node.parameters import Settings


def policy_for(settings: Settings, current: KeyframePolicy) -> KeyframePolicy:
    """Return the policy that the parameters ask for.

    Args:
        settings: of the next frame.
        current: the policy of the frame before. It is kept, with what it has learned, where the
            parameters still ask for its kind.
    """
    if settings.keyframe_policy == "budget":
        if isinstance(current, BudgetPolicy):
            if current.target_ms != settings.keyframe_target_ms:
                current.target_ms = settings.keyframe_target_ms
            return current
        return BudgetPolicy(settings.keyframe_target_ms)
    if settings.keyframe_policy == "adaptive":
        return AdaptivePolicy(
            settings.keyframe_threshold,
            settings.keyframe_min_interval,
            settings.keyframe_max_interval,
        )
    return FixedPolicy(settings.keyframe_interval)


def check_policy(settings: Settings, info: ModelInfo) -> None:
    """Check that the weights can serve the policy.

    Raises:
        ValueError: if it goes by an estimate that the weights do not carry.
    """
    if settings.keyframe_policy == "adaptive" and not info.quality.is_fitted:
        raise ValueError(
            "keyframe.policy: adaptive needs weights that carry an estimate of quality, these "
            "carry none; fit one with 'gsvnet fit-quality --store' or use fixed or budget"
        )
