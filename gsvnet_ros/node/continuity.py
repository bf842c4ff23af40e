# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Whether a frame continues the stream before it, or starts a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Discontinuity = Literal["", "stamp_back", "gap", "delay", "frame_id", "publisher", "out_of_order"]


@dataclass(frozen=True)
class FrameOrigin:
    """Where and when a frame was taken and published.

    Attributes:
        stamp_ns: header stamp, ns.
        frame_id: header frame.
        publisher: identity of the publisher, empty where unknown.
        sequence: the publisher's own number of the frame; None where unknown.
        source_ns: system time of the publication, ns; 0 where unknown.
        before_ns: header stamp of the camera's frame before it, served or not; None where there
            was none.
    """

    stamp_ns: int
    frame_id: str
    publisher: bytes
    sequence: int | None
    source_ns: int
    before_ns: int | None


def find_discontinuity(
    previous: FrameOrigin | None, current: FrameOrigin, max_gap_s: float
) -> Discontinuity:
    """Compare a frame with the one served before it.

    Args:
        previous: the frame served before; None for the first.
        current: the frame to serve.
        max_gap_s: longest time between the stamps, s; 0 allows any.

    Returns:
        Why the temporal state does not fit this frame: `publisher` (another one sends),
        `frame_id`, `stamp_back` (a recording started over), `gap` (the camera paused);
        `delay` where the camera did not, but its frames found this node busy for as long: the
        state is old, and yet the best there is. `out_of_order` for a frame older than the
        previous one by stamp and by publication, which is not to be served; empty if the
        stream continues.
    """
    if previous is None:
        return ""
    if current.publisher != previous.publisher:
        return "publisher"
    if current.frame_id != previous.frame_id:
        return "frame_id"
    if current.stamp_ns < previous.stamp_ns:
        return "out_of_order" if _was_published_before(current, previous) else "stamp_back"
    if max_gap_s == 0.0 or current.stamp_ns - previous.stamp_ns <= max_gap_s * 1e9:
        return ""
    paused = current.before_ns is None or current.stamp_ns - current.before_ns > max_gap_s * 1e9
    return "gap" if paused else "delay"


def _was_published_before(current: FrameOrigin, previous: FrameOrigin) -> bool:
    """Return whether a frame with the earlier stamp of the two was also published earlier."""
    # Numbers of an unknown publisher may be another one's. Those of a known one tell for certain,
    # unlike times: a system clock that is set back takes stamps and publications along.
    if current.publisher and current.sequence is not None and previous.sequence is not None:
        return current.sequence < previous.sequence
    if current.source_ns >= previous.source_ns:
        return False
    # The second of two with rising stamps: not one late frame, but a clock that was set back.
    return current.before_ns is None or current.before_ns >= current.stamp_ns
