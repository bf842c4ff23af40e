# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Labels and confidence in the size and the classes that the consumer of the outputs asked for."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.images.resize import resize_image, resize_labels
from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_model.outputs.merge import MergedClasses

MAX_OUTPUT_PX = 8192
"""Most rows and most columns of outputs that do not have the size of the image."""


def output_size(image_height: int, image_width: int, height: int, width: int) -> tuple[int, int]:
    """Return the size of the outputs of an image, in pixels.

    Args:
        image_height: rows of the image.
        image_width: columns of the image.
        height: wanted rows; with 0 they follow from the wanted columns and the image's shape.
        width: wanted columns; with 0 they follow from the wanted rows and the image's shape. If
            both are 0, the outputs have the size of the image.

    Returns:
        (height, width), both at least 1.

    Raises:
        ValueError: if a side that follows from the image's shape is longer than `MAX_OUTPUT_PX`.
    """
    if height == 0 and width == 0:
        return image_height, image_width
    if height == 0:
        height = max(1, round(image_height * width / image_width))
    elif width == 0:
        width = max(1, round(image_width * height / image_height))
    if max(height, width) > MAX_OUTPUT_PX:
        raise ValueError(
            f"expected outputs of at most {MAX_OUTPUT_PX} x {MAX_OUTPUT_PX} pixels, got "
            f"{width}x{height} from the shape of an image of {image_width}x{image_height}; set "
            "both width and height of the outputs"
        )
    return height, width


def consumer_outputs(
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    classes: MergedClasses,
    height: int,
    width: int,
    min_confidence: float = 0.0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize the labels and confidences of one image, merge classes, drop unsure labels.

    Args:
        labels: (H, W) uint8 class ids of the model.
        confidence: (H, W) uint8, floor(255 p) of the probability p of the label.
        classes: the merged classes.
        height: rows of the results.
        width: columns of the results.
        min_confidence: probability (0..1) below which a pixel becomes unlabeled.

    Returns:
        The labels (height, width) uint8 as merged ids, 255 where unlabeled, and the confidences
        (height, width) uint8, 0 where unlabeled. Neither argument is changed; an argument that
        already is the result is returned itself, not a copy.

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
