# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images as callers have them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def checked_image(image: object) -> NDArray[np.uint8]:
    """Return an image as an array that the networks' inputs can be made of.

    Args:
        image: (H, W, 3) uint8 RGB array, or what NumPy reads as one, such as a Pillow image of
            mode RGB or a tensor on the CPU.

    Returns:
        (H, W, 3) uint8 RGB. The caller's own memory where that is possible; a copy of arrays that
        are read-only or run backwards, of which PyTorch makes no tensor.

    Raises:
        ValueError: if it is no such image, with what to do about it.
    """
    if not isinstance(image, np.ndarray) and not hasattr(image, "__array_interface__"):
        raise ValueError(
            f"expected an (H, W, 3) uint8 array, got {type(image).__name__}; "
            "convert it with np.asarray(image, np.uint8)"
        )
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(
            f"expected an (H, W, 3) uint8 image, got {array.shape} {array.dtype}{_cure(array)}"
        )
    if not array.flags.writeable or min(array.strides) < 0:
        return array.copy()
    return array


def _cure(array: NDArray[np.generic]) -> str:
    if array.ndim == 2:
        return "; give grey images three equal channels: np.repeat(image[..., None], 3, axis=2)"
    if array.ndim == 3 and array.shape[2] == 4:
        return "; leave the fourth channel out: image[..., :3]"
    if array.ndim == 3 and array.shape[0] == 3:
        return "; put the channels last: image.transpose(1, 2, 0)"
    if array.ndim == 4:
        return "; give one image at a time"
    if array.dtype.kind == "f":
        return "; values of 0..1 become grey levels by (255 * image).round().astype(np.uint8)"
    return ""
