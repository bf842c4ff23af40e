# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images and labels at another size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(height, width) in pixels."""


def resize_image(image: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Return an image or a confidence map at another size.

    Convention: pixels are areas and the outer edges of both images coincide; shrinking averages
    the area that an output pixel covers, enlarging is bilinear between pixel centres.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        size: (height, width) of the result; None or the image's own returns the argument itself.
    """
    if size is None or image.shape[:2] == size:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)


def resize_labels(labels: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Return class ids at another size; every output pixel holds the id of one input pixel.

    Convention: pixels are areas and the outer edges of both images coincide; an output pixel
    takes the input pixel in which its centre lies.

    Args:
        labels: (H, W) uint8 class ids.
        size: (height, width) of the result; None or the labels' own returns the argument itself.
    """
    if size is None or labels.shape == size:
        return labels
    resized = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)
