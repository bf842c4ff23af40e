# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What became of every frame: served, waiting, or dropped for a reason."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Literal

DropReason = Literal[
    "busy",
    "lost",
    "too_old",
    "out_of_order",
    "bad_size",
    "bad_encoding",
    "bad_data",
    "failed",
    "paused",
    "stopped",
]
"""Why a frame was not served.

busy: a newer frame overtook it, or the queue was full. lost: it was sent but never reached
the node (transport, or overwritten in the middleware's queue). too_old: `frames.max_age`.
out_of_order: it arrived after a frame that was published later. failed: the networks raised
an error. paused: `~/enable` was false. stopped: it waited when the node was deactivated.
"""


@dataclass(frozen=True)
class CountsSnapshot:
    """The counts at one moment.

    Attributes:
        sent: frames that are known to have been published while the node listened.
        served: frames whose labels were published.
        dropped: frames not served, by reason.
    """

    sent: int
    served: int
    dropped: dict[str, int]

    @property
    def waiting(self) -> int:
        """Frames received and not yet decided on."""
        return self.sent - self.served - sum(self.dropped.values())


class FrameCounts:
    """Counts of one camera; `sent == served + dropped + waiting` always. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sent = 0
        self._served = 0
        self._dropped: Counter[str] = Counter()

    def receive(self, lost_before: int) -> None:
        """Count a frame that arrived, and those sent before it that never will."""
        with self._lock:
            self._sent += 1 + lost_before
            if lost_before:
                self._dropped["lost"] += lost_before

    def serve(self) -> None:
        """Count a frame whose labels were published."""
        with self._lock:
            self._served += 1

    def drop(self, reason: DropReason) -> None:
        """Count a frame that will not be served."""
        with self._lock:
            self._dropped[reason] += 1

    def snapshot(self) -> CountsSnapshot:
        """Return all counts of one moment."""
        with self._lock:
            return CountsSnapshot(self._sent, self._served, dict(self._dropped))


@dataclass
class _Publisher:
    """What is known of one publisher: its last frame, and how many came before the first."""

    sequence: int
    source_ns: int
    unseen: int


class SequenceWatch:
    """Finds frames that were sent but never received, by the publishers' sequence numbers.

    Frames sent before the first one that arrives count too, if they were sent while the
    node listened: whether that was so follows from the rate of the first two.

    Args:
        listening_since_ns: system time of the subscription, ns.
    """

    MAX_PUBLISHERS = 16

    def __init__(self, listening_since_ns: int) -> None:
        self._listening_since_ns = listening_since_ns
        self._publishers: OrderedDict[bytes, _Publisher] = OrderedDict()

    def lost_before(self, publisher: bytes, sequence: int, source_ns: int) -> int:
        """Return how many frames were lost before this one.

        Args:
            publisher: identity of the publisher.
            sequence: its own number of this frame, counted from 1.
            source_ns: system time of its publication, ns.
        """
        known = self._publishers.get(publisher)
        if known is None or sequence <= known.sequence:
            self._note(publisher, _Publisher(sequence, source_ns, sequence - 1))
            if len(self._publishers) > self.MAX_PUBLISHERS:
                self._publishers.popitem(last=False)
            return 0
        steps = sequence - known.sequence
        lost = steps - 1
        if known.unseen:
            period_ns = (source_ns - known.source_ns) / steps
            since_listening_ns = known.source_ns - self._listening_since_ns
            if known.unseen * period_ns <= since_listening_ns:
                lost += known.unseen
        self._note(publisher, _Publisher(sequence, source_ns, 0))
        return lost

    def _note(self, publisher: bytes, seen: _Publisher) -> None:
        """Keep what was seen; the publisher silent for longest is the first to be forgotten."""
        self._publishers[publisher] = seen
        self._publishers.move_to_end(publisher)
