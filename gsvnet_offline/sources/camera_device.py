# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Cameras as sources, read by OpenCV: it opens them by number on every system."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from gsvnet_model.images.resize import Size, resize_image
from gsvnet_offline.sources.source import (
    DEFAULT_RATE_HZ,
    MAX_RATE_HZ,
    Frame,
    SourceItem,
    first_frames,
)


class CameraDevice:
    """The frames of a camera, as they come, stamped in seconds since the first.

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
        self.num_frames = num_images
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
        self.rate_hz = rate_hz or (
            own_rate_hz if 0 < own_rate_hz <= MAX_RATE_HZ else DEFAULT_RATE_HZ
        )

    def frames(self) -> Iterator[SourceItem]:
        """Return the frames from now on."""
        return first_frames(self._frames(), self.num_frames)

    def labels(self, number: int) -> None:
        """Return None: a camera has no labels."""

    def _frames(self) -> Iterator[Frame]:
        number, started_s = 0, None
        while True:
            was_read, bgr = self._capture.read()
            if not was_read:
                return
            now_s = time.monotonic()
            started_s = now_s if started_s is None else started_s
            rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(number, now_s - started_s, "", resize_image(rgb, self._size))
            number += 1
