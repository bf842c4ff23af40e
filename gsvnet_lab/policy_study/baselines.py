# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Keyframe policies to compare with; no stream uses them."""

from __future__ import annotations

from dataclasses import dataclass

from gsvnet_model.scheduling.quality import FrameQuality
from gsvnet_model.scheduling.signals import SIGNAL_NAMES


@dataclass(frozen=True)
class _ThresholdPolicy:
    """A keyframe when a score of the frame exceeds a threshold, or after `max_interval` frames."""

    threshold: float
    max_interval: int

    def due(self, age: int) -> str:
        """See `KeyframePolicy`."""
        return "interval" if age >= self.max_interval else ""

    def judge(self, quality: FrameQuality) -> str:
        """See `KeyframePolicy`."""
        return "quality" if self.score(quality) > self.threshold else ""

    def score(self, quality: FrameQuality) -> float:
        """Return what is compared with the threshold."""
        raise NotImplementedError

    def observe(self, is_keyframe: bool, milliseconds: float) -> None:
        """See `KeyframePolicy`."""

    def describe(self) -> dict[str, str]:
        """See `KeyframePolicy`."""
        return {"policy": type(self).__name__, "threshold": f"{self.threshold:g}"}


@dataclass(frozen=True)
class FrameDifferencePolicy(_ThresholdPolicy):
    """A keyframe when the image differences since the last one add up to a threshold."""

    def score(self, quality: FrameQuality) -> float:
        """Return the sum of the differences since the keyframe, standard deviations."""
        return float(quality.sums[SIGNAL_NAMES.index("difference")])


@dataclass(frozen=True)
class DisagreementPolicy(_ThresholdPolicy):
    """A keyframe when the estimated disagreement of the frame at hand exceeds a threshold."""

    def score(self, quality: FrameQuality) -> float:
        """Return the estimated disagreement of the frame, percent of pixels."""
        return quality.disagreement
