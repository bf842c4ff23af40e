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
        """Count a frame that arrived.

        Args:
            lost_before: frames that were sent before it and will never arrive.
        """
        self.lose(lost_before)
        with self._lock:
            self._sent += 1

    def lose(self, number: int) -> None:
        """Count frames that the middleware knows to be lost, whether another one arrives or not."""
        with self._lock:
            self._sent += number
            if number:
                self._dropped["lost"] += number

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


class LossCount:
    """Lost frames of one camera, of which two sources tell.

    Gaps in the numbers of the frames that arrive show every loss, but only once a frame arrives.
    The middleware reports some losses at once, also where nothing arrives. As both see the same
    losses, the larger of the two sums counts.
    """

    def __init__(self) -> None:
        self._in_gaps = 0
        self._reported = 0

    def add_gap(self, number: int) -> int:
        """Note frames missing in the numbers; return how many of them are not counted yet."""
        before = max(self._in_gaps, self._reported)
        self._in_gaps += number
        return max(self._in_gaps, self._reported) - before

    def add_report(self, number: int) -> int:
        """Note losses that the middleware reports; return how many are not counted yet."""
        before = max(self._in_gaps, self._reported)
        self._reported += number
        return max(self._in_gaps, self._reported) - before


@dataclass
class _Publisher:
    """One publisher as far as its frames tell.

    Attributes:
        sequence: number of its last frame.
        source_ns: system time of the publication of that frame, ns.
        unseen: frames it published before the first that arrived; 0 once they are counted.
    """

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
        # A number that does not rise is that of a publisher that started over.
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
        """Keep the last frame of a publisher; the one silent for longest is forgotten first."""
        self._publishers[publisher] = seen
        self._publishers.move_to_end(publisher)
