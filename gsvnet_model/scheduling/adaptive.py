# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A keyframe when the frames since the last one have lost enough."""

from __future__ import annotations

from dataclasses import dataclass

from gsvnet_model.scheduling.policy import check_interval
from gsvnet_model.scheduling.quality import FrameQuality

DEFAULT_THRESHOLD = 92.0
DEFAULT_MIN_INTERVAL = 1
DEFAULT_MAX_INTERVAL = 30

_USUAL_INTERVAL = 5
"""The interval at which the threshold is the agreement just before a keyframe."""


@dataclass(frozen=True)
class AdaptivePolicy:
    """Keyframes where they help most.

    A keyframe is due when it would save enough: the disagreement of the labels at hand, less that
    of its own labels, summed over the frames to come until the two are the same. Where
    disagreement grows evenly the sum is the same for every speed at the optimum, while the age
    and the disagreement that are reached are not. Where motion changes, a keyframe is worth more
    before a stop than before a fast stretch. There is no standstill: labels that are stale when
    motion ends would be for as long as the scene stands, and are replaced soon; fresh ones lose
    nothing.

    Attributes:
        threshold: percent of pixels, 0..100, that should agree with a keyframe's labels just
            before the next one, for a motion that takes 5 frames to get there. Slower motion is
            held above it, since its keyframes last longer, and faster motion below.
        min_interval: fewest frames from one keyframe to the next.
        max_interval: most frames from one keyframe to the next.

    Raises:
        ValueError: if a value is out of its range.
    """

    threshold: float = DEFAULT_THRESHOLD
    min_interval: int = DEFAULT_MIN_INTERVAL
    max_interval: int = DEFAULT_MAX_INTERVAL

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.threshold <= 100:
            raise ValueError(f"expected a threshold of 0 to 100 percent, got {self.threshold}")
        check_interval("minimum interval", self.min_interval)
        check_interval("maximum interval", self.max_interval)
        if self.min_interval > self.max_interval:
            raise ValueError(
                "expected a minimum interval up to the maximum interval, got "
                f"{self.min_interval} and {self.max_interval}"
            )

    def due(self, age: int) -> str:
        """Return "interval" at the longest one; see `KeyframePolicy`."""
        return "interval" if age >= self.max_interval else ""

    def judge(self, quality: FrameQuality) -> str:
        """Return "quality" when the allowance is used up."""
        if quality.age < self.min_interval:
            return ""
        return "quality" if quality.need > allowance(self.threshold) else ""

    def observe(self, is_keyframe: bool, milliseconds: float) -> None:
        """Ignore what frames cost."""

    def describe(self) -> dict[str, str]:
        """Return name, threshold and intervals."""
        return {
            "policy": "adaptive",
            "threshold": f"{self.threshold:g}",
            "min_interval": str(self.min_interval),
            "max_interval": str(self.max_interval),
        }


def allowance(threshold: float) -> float:
    """Return the need of a keyframe, percent * frames, that a threshold in percent allows."""
    # The area of the triangle under a disagreement that grows evenly.
    return 0.5 * _USUAL_INTERVAL * (100.0 - threshold)


def threshold_of(need: float) -> float:
    """Return the threshold in percent, 0 at least, that allows a need."""
    return max(0.0, 100.0 - need / (0.5 * _USUAL_INTERVAL))
