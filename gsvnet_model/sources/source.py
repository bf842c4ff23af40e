# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The interface of all image sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

DEFAULT_RATE_HZ = 15.0
"""Rate of sources without one of their own; CamVid's clip has it, and two cores keep up."""

Size = tuple[int, int]
"""(height, width) in pixels."""


class ImageSource(Protocol):
    """Images in order, with labels where these are known.

    Attributes:
        rate_hz: images per second.
        is_live: whether the images are gone once read, so that `images` cannot be repeated.
        is_recording: whether every image matters more than its time: it has no clock.
    """

    rate_hz: float
    is_live: bool
    is_recording: bool

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Return the images from the start, each (H, W, 3) uint8 RGB.

        Raises:
            ValueError: while iterating, if one cannot be read.
        """
        ...

    def labels(self, index: int) -> NDArray[np.uint8] | None:
        """Return the (H, W) uint8 class ids of image `index`, or None if unknown."""
        ...


def resize_image(image: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Return the image at another size.

    Convention: corners are aligned (align_corners=False sampling). Averages areas where the
    image shrinks, interpolates bilinearly where it grows.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width), or None for the image as it is.
    """
    if size is None or image.shape[:2] == size:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), np.uint8)


def resize_labels(labels: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Return the labels at another size.

    Convention: corners are aligned (align_corners=False sampling); every pixel takes the
    label of the nearest pixel centre.

    Args:
        labels: (H, W) uint8.
        size: (height, width), or None for the labels as they are.
    """
    if size is None or labels.shape == size:
        return labels
    return np.asarray(
        cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )
