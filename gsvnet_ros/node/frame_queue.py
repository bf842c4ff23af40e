# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frames on their way from the subscriptions to the inference threads."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition

from sensor_msgs.msg import CompressedImage, Image

from gsvnet_ros.health.frame_counts import FrameCounts


@dataclass(frozen=True)
class ReceivedFrame:
    """A message as it came, not yet decoded.

    Attributes:
        message: the image message.
        publisher: identity of its publisher, empty where the middleware does not tell.
        sequence: the publisher's own number of it; None where not told.
        source_ns: system time of its publication, ns; 0 where not told.
        before_ns: header stamp of the message received before it, None for the first.
    """

    message: Image | CompressedImage
    publisher: bytes
    sequence: int | None
    source_ns: int
    before_ns: int | None


class FrameQueue:
    """Waiting frames of all cameras, taken together.

    With one place per camera a new frame replaces the waiting one; with more places
    every frame waits for its turn and is refused when all are taken.

    Args:
        counts: one per camera; frames that are replaced or refused are counted as busy.
        places: frames of one camera that may wait.
        keep_newest: whether a new frame replaces the oldest one when all places are taken.
    """

    def __init__(self, counts: Sequence[FrameCounts], places: int, keep_newest: bool) -> None:
        self._counts = counts
        self._places = places
        self._keep_newest = keep_newest
        self._frames: list[deque[ReceivedFrame]] = [deque() for _ in counts]
        self._idle_takers = 0
        self._held: set[int] = set()
        self._next = 0
        self._changed = Condition()
        self._closed = False

    def put(self, camera: int, frame: ReceivedFrame) -> None:
        """Add a received frame of the camera with this index."""
        with self._changed:
            frames = self._frames[camera]
            if self._closed:
                self._counts[camera].drop("stopped")
                return
            if len(frames) == self._places:
                self._counts[camera].drop("busy")
                if not self._keep_newest:
                    return
                frames.popleft()
            frames.append(frame)
            self._changed.notify()

    def take(self) -> list[tuple[int, ReceivedFrame]]:
        """Wait for frames and return this taker's share of them, none once closed.

        A share holds the oldest frame of each of several cameras, with the camera's index: all
        that are ready, divided by the takers that have nothing else to do. These cameras are
        held until `release`, so that each one's frames are served in order. Cameras take turns,
        so that none delays the others by more than one frame.
        """
        with self._changed:
            self._idle_takers += 1
            try:
                while not self._closed:
                    turn = [*range(self._next, len(self._frames)), *range(self._next)]
                    ready = [i for i in turn if self._frames[i] and i not in self._held]
                    if ready:
                        share = ready[: math.ceil(len(ready) / self._idle_takers)]
                        self._next = (share[-1] + 1) % len(self._frames)
                        self._held.update(share)
                        return [(index, self._frames[index].popleft()) for index in share]
                    self._changed.wait()
            finally:
                self._idle_takers -= 1
        return []

    def release(self, taken: Sequence[tuple[int, ReceivedFrame]]) -> None:
        """Let the cameras of a share that has been served take their next turns."""
        with self._changed:
            self._held.difference_update(index for index, _ in taken)
            self._changed.notify_all()

    def close(self) -> None:
        """Let `take` return an empty list, and count the frames that still wait as stopped."""
        with self._changed:
            self._closed = True
            for counts, frames in zip(self._counts, self._frames, strict=True):
                for _ in range(len(frames)):
                    counts.drop("stopped")
                frames.clear()
            self._changed.notify_all()
