# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Every so many frames a keyframe, as in the paper."""

from __future__ import annotations

from dataclasses import dataclass

from gsvnet_model.scheduling.policy import check_interval
from gsvnet_model.scheduling.quality import FrameQuality


@dataclass(frozen=True)
class FixedPolicy:
    """A keyframe every `interval` frames (the paper's l).

    Attributes:
        interval: frames from one keyframe to the next; 1 makes every frame a keyframe.

    Raises:
        ValueError: if the interval is not a positive whole number.
    """

    interval: int

    def __post_init__(self) -> None:
        """Check the interval."""
        check_interval("keyframe interval", self.interval)

    def due(self, age: int) -> str:
        """Return "interval" when it is over; see `KeyframePolicy`."""
        return "interval" if age >= self.interval else ""

    def judge(self, quality: FrameQuality) -> str:
        """Return "": no frame is too bad."""
        return ""

    def observe(self, is_keyframe: bool, milliseconds: float) -> None:
        """Ignore what frames cost."""

    def describe(self) -> dict[str, str]:
        """Return name and interval."""
        return {"policy": "fixed", "interval": str(self.interval)}
