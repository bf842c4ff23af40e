# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Normalise an image as a network expects it, at the image's size or at another one."""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.ops.cpu.image import normalise_rows, sample_rows
from gsvnet_model.ops.cpu.loops import corner_aligned, fill_rows

Colour: TypeAlias = tuple[float, float, float]
"""One value for each of red, green and blue, grey levels."""

_COMPILED_PRECISIONS = (torch.float32, torch.bfloat16)

_PIXELS_PER_THREAD = 1 << 18
"""Smaller results are not worth a second thread."""


def normalise(
    image: Tensor,
    size: tuple[int, int],
    mean: Colour,
    std: Colour,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Subtract the mean from an image, divide it by the deviation, and resize it.

    An image that lies on the CPU as a camera's does (uint8, interleaved channels) is read once by
    a compiled loop; every other image goes through `normalise_reference`.

    Args:
        image: (N, 3, H, W) RGB values of 0..255, any dtype and device.
        size: (h, w) of the result.
        mean: subtracted, grey levels.
        std: divided by, grey levels, positive.
        precision: dtype of the result.

    Returns:
        (N, 3, h, w) on the image's device, in the memory layout of the image.

    Convention:
        Bilinear with align_corners=True; an image that has the size is not resampled.
    """
    if _is_interleaved(image) and precision in _COMPILED_PRECISIONS:
        return _in_one_pass(image, size, mean, std, precision)
    return normalise_reference(image, size, mean, std, precision)


def normalise_reference(
    image: Tensor,
    size: tuple[int, int],
    mean: Colour,
    std: Colour,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Compute `normalise` with PyTorch, on any device; arguments and result are the same."""
    means, deviations = _on_device(mean, std, image.device)
    values = (image.float() - means) / deviations
    if size != tuple(image.shape[-2:]):
        values = F.interpolate(values, size, mode="bilinear", align_corners=True)
    return values.to(precision)


# Kept for good: a recording on a GPU goes on reading them.
@functools.cache
def _on_device(mean: Colour, std: Colour, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, (1, 3, 1, 1) each."""
    with torch.inference_mode(False):
        means, deviations = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std)
        )
    return means, deviations


def _is_interleaved(image: Tensor) -> bool:
    """Return whether (N, 3, H, W) are bytes on the CPU in the order R, G, B, R, G, B, ...

    Rows may be padded, as the rows of an image message may be.
    """
    batch, channels, height, _ = image.shape
    return (
        image.dtype == torch.uint8
        and image.device.type == "cpu"
        and (channels, image.stride(1), image.stride(3)) == (3, 1, 3)
        and (batch == 1 or image.stride(0) == height * image.stride(2))
    )


def _in_one_pass(
    image: Tensor, size: tuple[int, int], mean: Colour, std: Colour, precision: torch.dtype
) -> Tensor:
    """Compute `normalise` for an interleaved image on the CPU."""
    batch, _, height, width = image.shape
    row_step = image.stride(2)
    num_bytes = (batch * height - 1) * row_step + 3 * width
    pixels = image.as_strided((num_bytes,), (1,)).numpy()  # padding between the rows included
    rows, columns = size
    out = np.empty(
        (batch * rows, 3 * columns), np.uint16 if precision == torch.bfloat16 else np.float32
    )
    means, factors = _constants(mean, std, columns)
    if size == (height, width):
        fill = functools.partial(normalise_rows, pixels, np.uint64(row_step), means, factors, out)
    else:
        lower_row, row_weight = corner_aligned(height, rows)
        left, right, column_weight = _value_columns(width, columns)
        fill = functools.partial(
            sample_rows,
            pixels,
            np.uint64(row_step),
            (height, 3 * width),
            lower_row,
            row_weight,
            left,
            right,
            column_weight,
            means,
            factors,
            out,
        )
    fill_rows(fill, len(out), 1 + len(out) * columns // _PIXELS_PER_THREAD)
    values = torch.from_numpy(out)
    if precision == torch.bfloat16:
        values = values.view(torch.bfloat16)
    return values.view(batch, rows, columns, 3).permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=16)
def _constants(
    mean: Colour, std: Colour, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and 1 / deviation for each of the 3 * width values of a row."""
    factor = 1 / np.array(std, np.float32)
    return np.tile(np.array(mean, np.float32), width), np.tile(factor, width)


@functools.lru_cache(maxsize=16)
def _value_columns(
    width: int, columns: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]:
    """Return which two values of an image's row each value of a resized row lies between.

    Args:
        width: pixels of the image's row.
        columns: pixels of the resized row.

    Returns:
        left: (3 * columns,) index of the value at or before it in the image's row.
        right: (3 * columns,) index of the value after it.
        weight: (3 * columns,) in 0..1, how far it is from left to right.
    """
    lower, weight = corner_aligned(width, columns)
    channels = np.arange(3)
    left = 3 * lower[:, None] + channels
    right = 3 * np.minimum(lower + 1, width - 1)[:, None] + channels
    return (
        left.astype(np.uint32).ravel(),
        right.astype(np.uint32).ravel(),
        np.repeat(weight, 3),
    )
