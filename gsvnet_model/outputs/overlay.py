# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Pictures of label images: class colours, overlays on the image, legend, keyframe mark."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import ClassTable

DEFAULT_OVERLAY_ALPHA = 0.5
"""Share of the class colour in an overlay, 0..1."""

LEGEND_ROW_PX = 14
LEGEND_FONT_SCALE = 0.4


def colorize(labels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw every class id in its colour.

    Args:
        labels: (H, W) uint8 class ids.
        palette: (256, 3) uint8 RGB, one row per id (`ClassTable.palette_array`).

    Returns:
        A new (H, W, 3) uint8 RGB image.

    Raises:
        ValueError: if labels or palette have another shape or dtype.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(
            f"expected labels (H, W) uint8, got {labels.shape} {labels.dtype}; "
            "pass the labels of one image"
        )
    if palette.shape != (256, 3) or palette.dtype != np.uint8:
        raise ValueError(
            f"expected a palette (256, 3) uint8, got {palette.shape} {palette.dtype}; "
            "use ClassTable.palette_array()"
        )
    # OpenCV's table look-up takes 4 ms for 2048x1024, numpy's indexing 32 ms.
    grey = cv2.cvtColor(labels, cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.LUT(grey, palette.reshape(1, 256, 3)), np.uint8)


def overlay(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    palette: NDArray[np.uint8],
    alpha: float = DEFAULT_OVERLAY_ALPHA,
) -> NDArray[np.uint8]:
    """Blend the class colours over the image.

    Args:
        image: (H, W, 3) uint8 RGB; it is not changed.
        labels: (H, W) uint8 class ids.
        palette: (256, 3) uint8 RGB, one row per id (`ClassTable.palette_array`).
        alpha: share of the class colour, 0 (image only) to 1 (colours only).

    Returns:
        A new (H, W, 3) uint8 RGB image, `(1 - alpha) * image + alpha * colours`, rounded.

    Raises:
        ValueError: if image and labels differ in size, if alpha lies outside 0..1, or if labels or
            palette have another shape or dtype.
    """
    if image.shape != (*labels.shape, 3):
        raise ValueError(
            f"expected an image of shape {(*labels.shape, 3)} for these labels, "
            f"got {image.shape}; resize one of them"
        )
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"expected alpha in 0..1, got {alpha}")
    colours = colorize(labels, palette)
    return np.asarray(cv2.addWeighted(image, 1.0 - alpha, colours, alpha, 0.0), np.uint8)


def mark_keyframe(image: NDArray[np.uint8]) -> None:
    """Draw a white disc with a black edge into the upper right corner.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous; drawn on in place.
    """
    radius = max(2, min(image.shape[:2]) // 40)
    centre = (image.shape[1] - 1 - 2 * radius, 2 * radius)
    cv2.circle(image, centre, radius + 1, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(image, centre, radius, (255,) * 3, cv2.FILLED, cv2.LINE_AA)


def draw_legend(image: NDArray[np.uint8], classes: ClassTable, note: str) -> None:
    """Write the class names beside their colours into the upper left corner.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous; drawn on in place. Rows that do not fit
            are left out.
        classes: the classes of the labels that are drawn on the image.
        note: one line written above the classes, for example the age of the keyframe.
    """
    rows = [(note, (0, 0, 0)), *zip(classes.names, classes.palette, strict=True)]
    for index, (text, colour) in enumerate(rows):
        top = index * LEGEND_ROW_PX
        bottom = top + LEGEND_ROW_PX
        if bottom > image.shape[0]:
            return
        cv2.rectangle(image, (0, top), (LEGEND_ROW_PX, bottom - 1), colour, cv2.FILLED)
        origin = (LEGEND_ROW_PX + 3, bottom - 4)
        font = cv2.FONT_HERSHEY_SIMPLEX
        # A dark edge under the white letters keeps them readable on any picture.
        cv2.putText(image, text, origin, font, LEGEND_FONT_SCALE, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(image, text, origin, font, LEGEND_FONT_SCALE, (255,) * 3, 1, cv2.LINE_AA)
