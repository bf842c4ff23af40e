# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Labels and confidence in the size and the classes that a consumer asked for."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.images.resize import resize_image, resize_labels
from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_model.outputs.merge import MergedClasses


def output_size(image_height: int, image_width: int, height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) of the outputs.

    Args:
        image_height: rows of the image.
        image_width: columns of the image.
        height: wanted rows; 0 follows from the width and the shape of the image.
        width: wanted columns; 0 follows from the height; both 0 keep the image's size.
    """
    if height == 0 and width == 0:
        return image_height, image_width
    if height == 0:
        return max(1, round(image_height * width / image_width)), width
    if width == 0:
        return height, max(1, round(image_width * height / image_height))
    return height, width


def consumer_outputs(
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    classes: MergedClasses,
    height: int,
    width: int,
    min_confidence: float = 0.0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize, merge and threshold one segmentation.

    Args:
        labels: (H, W) uint8 class ids of the model.
        confidence: (H, W) uint8, floor(255 p).
        classes: the merged classes.
        height: rows of the result.
        width: columns of the result.
        min_confidence: probability below which a pixel becomes unlabeled, 0..1.

    Returns:
        labels (height, width) uint8 with the merged ids, 255 where unlabeled, and
        confidence (height, width) uint8, 0 where unlabeled. The arguments are not changed,
        but are returned as they are where nothing had to be done.

    Raises:
        ValueError: if the two maps differ in size.
    """
    if labels.shape != confidence.shape:
        raise ValueError(
            f"expected labels and confidence of one size, got {labels.shape} and {confidence.shape}"
        )
    labels = resize_labels(labels, (height, width))
    confidence = resize_image(confidence, (height, width))
    if classes.changes_ids:
        labels = np.asarray(cv2.LUT(labels, classes.lookup), np.uint8)
    if min_confidence > 0.0:
        labels = np.where(confidence < 255.0 * min_confidence, np.uint8(IGNORE_INDEX), labels)
    if classes.changes_ids or min_confidence > 0.0:
        confidence = np.where(labels == IGNORE_INDEX, np.uint8(0), confidence)
    return labels, confidence
