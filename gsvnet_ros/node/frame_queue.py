# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frames on their way from the subscriptions to the inference threads."""

from __future__ import annotations

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
    """Waiting frames of all cameras, between the executor's thread and the inference threads.

    With one place per camera a new frame replaces the waiting one; with more places every frame
    waits for its turn and is refused when all places are taken. Each camera's frames are taken
    by one inference thread, in order.

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
            self._changed.notify_all()

    def take(self, cameras: Sequence[int]) -> list[tuple[int, ReceivedFrame]]:
        """Wait for frames of some cameras; return the oldest of each that has one.

        Args:
            cameras: indices of the cameras that the calling thread serves.

        Returns:
            Camera index and frame; empty once the queue is closed.
        """
        with self._changed:
            while not self._closed:
                ready = [camera for camera in cameras if self._frames[camera]]
                if ready:
                    return [(camera, self._frames[camera].popleft()) for camera in ready]
                self._changed.wait()
        return []

    def close(self) -> None:
        """Let `take` return an empty list, and count the frames that still wait as stopped."""
        with self._changed:
            self._closed = True
            for counts, frames in zip(self._counts, self._frames, strict=True):
                for _ in range(len(frames)):
                    counts.drop("stopped")
                frames.clear()
            self._changed.notify_all()
