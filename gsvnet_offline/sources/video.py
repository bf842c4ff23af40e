# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video files and cameras as sources, both read by OpenCV."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.images.resize import Size, resize_image
from gsvnet_offline.sources.source import DEFAULT_RATE_HZ

_COUNTED = frozenset({".avi", ".m4v", ".mov", ".mp4"})
"""Of containers that store their number of frames; of others OpenCV guesses from the duration."""

_HIDDEN = 0.05
"""Share of the stored frames that a whole video may not show, as where a phone has trimmed it."""


class VideoFile:
    """The frames of a video file.

    Args:
        path: of the file.
        size: (height, width) to resize to, or None.
        rate_hz: images per second; None takes the file's.
        num_images: at most this many.

    Raises:
        ValueError: if OpenCV cannot read the file.
    """

    is_live = False
    is_recording = False

    def __init__(
        self,
        path: Path,
        size: Size | None = None,
        rate_hz: float | None = None,
        num_images: int | None = None,
    ) -> None:
        self._path = path
        self._size = size
        self._num_images = num_images
        capture = self._open()
        own_rate_hz = capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        self.rate_hz = rate_hz or (own_rate_hz if 0 < own_rate_hz <= 1000 else DEFAULT_RATE_HZ)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Return the images from the start, each (H, W, 3) uint8 RGB.

        Warns where the file says that it has many more: what is damaged is left out, and the
        numbers of later frames are no longer those of the video.
        """
        capture = self._open()
        announced, count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        try:
            for image in itertools.islice(_frames(capture, self._size), self._num_images):
                yield image
                count += 1
        finally:
            capture.release()
        wanted = announced if self._num_images is None else min(announced, self._num_images)
        if self._path.suffix.lower() in _COUNTED and count < (1 - _HIDDEN) * wanted:
            warnings.warn(
                f"{self._path}: {count} frames could be read, the file announces {announced}; is "
                "it damaged or cut?",
                stacklevel=2,
            )

    def labels(self, index: int) -> None:
        """Return None: a video file has no labels."""

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened() or not capture.grab():
            raise ValueError(f"expected a video file that OpenCV can decode, got {self._path}")
        # Opened anew because not every container can be wound back.
        return cv2.VideoCapture(str(self._path))


class CameraDevice:
    """The frames of a camera, as they come.

    Args:
        index: number of the camera.
        size: (height, width) to ask the camera for and to resize to, or None.
        rate_hz: images per second to ask for; None takes the camera's.
        num_images: at most this many.

    Raises:
        ValueError: if there is no such camera.
    """

    is_live = True
    is_recording = False

    def __init__(
        self,
        index: int,
        size: Size | None = None,
        rate_hz: float | None = None,
        num_images: int | None = None,
    ) -> None:
        self._size = size
        self._num_images = num_images
        self._capture = cv2.VideoCapture(index)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[1])
        if rate_hz is not None:
            self._capture.set(cv2.CAP_PROP_FPS, rate_hz)
        if not self._capture.isOpened() or not self._capture.grab():
            raise ValueError(
                f"expected a camera with number {index}, found none; is /dev/video{index} there, "
                "readable, and used by nothing else?"
            )
        own_rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz or (own_rate_hz if 0 < own_rate_hz <= 1000 else DEFAULT_RATE_HZ)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Return the images from now on, each (H, W, 3) uint8 RGB."""
        yield from itertools.islice(_frames(self._capture, self._size), self._num_images)

    def labels(self, index: int) -> None:
        """Return None: a camera has no labels."""


def _frames(capture: cv2.VideoCapture, size: Size | None) -> Iterator[NDArray[np.uint8]]:
    while True:
        read, frame = capture.read()
        if not read:
            return
        rgb = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        yield resize_image(rgb, size)
