# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frames on their way from the subscriptions to the inference thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition

from sensor_msgs.msg import CompressedImage, Image

from gsvnet_ros.frame_counts import FrameCounts


@dataclass(frozen=True)
class ReceivedFrame:
    """A message as it came, not yet decoded.

    Attributes:
        message: the image message.
        publisher: identity of its publisher, empty where the middleware does not tell.
        source_ns: system time of its publication, ns; 0 where not told.
    """

    message: Image | CompressedImage
    publisher: bytes
    source_ns: int


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
        """Wait for frames; return the oldest of every camera that has one, or none once closed.

        Each comes with the index of its camera. No camera gets a second turn before the others
        had their first, so none delays the others by more than one frame.
        """
        with self._changed:
            while not self._closed:
                taken = [
                    (camera, frames.popleft())
                    for camera, frames in enumerate(self._frames)
                    if frames
                ]
                if taken:
                    return taken
                self._changed.wait()
        return []

    def close(self) -> None:
        """Let `take` return None, and count the frames that still wait as stopped."""
        with self._changed:
            self._closed = True
            for counts, frames in zip(self._counts, self._frames, strict=True):
                for _ in range(len(frames)):
                    counts.drop("stopped")
                frames.clear()
            self._changed.notify_all()
