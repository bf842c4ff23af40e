# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What every keyframe policy can be asked."""

from __future__ import annotations

from typing import Protocol

from gsvnet_model.scheduling.quality import FrameQuality


class KeyframePolicy(Protocol):
    """Decides which frames of a stream are keyframes, apart from those that have to be.

    A segmenter asks `due` before a frame is propagated and, if it was, `judge` after that and
    before it is published: a frame that is judged too bad becomes a keyframe after all. It then
    tells what the frame cost. The age lives in the stream, so that a policy can be exchanged for
    another between two frames. One policy serves one stream.
    """

    def due(self, age: int) -> str:
        """Return why the next frame is to be a keyframe without being propagated, else "".

        Args:
            age: frames since the keyframe that it would have, 1 or more.
        """
        ...

    def judge(self, quality: FrameQuality) -> str:
        """Return why a propagated frame is to be a keyframe after all, else ""."""
        ...

    def observe(self, is_keyframe: bool, milliseconds: float) -> None:
        """Take note of what a frame was and of what it cost, all stages together."""
        ...

    def describe(self) -> dict[str, str]:
        """Return name and current choices, for the status of a stream."""
        ...


def check_interval(name: str, interval: int) -> None:
    """Check a number of frames.

    Raises:
        ValueError: if it is not a positive whole number.
    """
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
        raise ValueError(f"expected a {name} of 1 or more, got {interval!r}")
