# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Compiled loops from a uint8 image to a network's input, in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.ops.cpu.loops import compiled, f32_to_bf16


@compiled
def average_rows(
    pixels: NDArray[np.uint8],
    row_step: np.uint64,
    row_edges: NDArray[np.uint64],
    column_edges: NDArray[np.uint64],
    out: NDArray[np.uint8],
    start: int,
    stop: int,
) -> None:
    """Fill rows `start` to `stop - 1` of `out` with means over blocks of whole pixels.

    Args:
        pixels: the image's memory; row y begins at y * row_step.
        row_step: bytes from one row to the next.
        row_edges: (h + 1,) first image row of each block, and the end of the last; ascending.
        column_edges: (w + 1,) first image column of each block, and the end of the last; ascending.
        out: (h, w, 3), written; rounded to the nearest, halves to the even number.
        start: first row to fill.
        stop: one past the last row to fill.
    """
    one, channels = np.uint64(1), np.uint64(3)
    width = np.uint64(out.shape[1])
    num_values = channels * column_edges[width]
    sums = np.empty(num_values, np.uint32)
    for y in range(np.uint64(start), np.uint64(stop)):
        for i in range(num_values):
            sums[i] = 0
        for row in range(row_edges[y], row_edges[y + one]):
            first = row * row_step
            for i in range(num_values):
                sums[i] += pixels[first + i]
        num_rows = row_edges[y + one] - row_edges[y]
        for x in range(width):
            red, green, blue = np.uint32(0), np.uint32(0), np.uint32(0)
            for column in range(column_edges[x], column_edges[x + one]):
                first = channels * column
                red += sums[first]
                green += sums[first + one]
                blue += sums[first + np.uint64(2)]
            num_pixels = num_rows * (column_edges[x + one] - column_edges[x])
            share = np.float32(1) / np.float32(num_pixels)
            out[y, x, 0] = np.uint8(np.rint(np.float32(red) * share))
            out[y, x, 1] = np.uint8(np.rint(np.float32(green) * share))
            out[y, x, 2] = np.uint8(np.rint(np.float32(blue) * share))


@compiled
def normalise_rows(
    pixels: NDArray[np.uint8],
    row_step: np.uint64,
    mean: NDArray[np.float32],
    factor: NDArray[np.float32],
    out: NDArray[np.float32] | NDArray[np.uint16],
    start: int,
    stop: int,
) -> None:
    """Fill rows `start` to `stop - 1` of `out` with (value - mean) * factor.

    Args:
        pixels: the image's memory; row y begins at y * row_step.
        row_step: bytes from one row to the next.
        mean: (W * 3,) per value of a row.
        factor: (W * 3,) per value of a row.
        out: (H, W * 3), written; float32 or, as uint16, the bits of bfloat16.
        start: first row to fill.
        stop: one past the last row to fill.
    """
    for y in range(np.uint64(start), np.uint64(stop)):
        for i in range(np.uint64(out.shape[1])):
            value = (np.float32(pixels[y * row_step + i]) - mean[i]) * factor[i]
            out[y, i] = f32_to_bf16(value, out)


@compiled
def sample_rows(
    pixels: NDArray[np.uint8],
    row_step: np.uint64,
    image_size: tuple[int, int],
    lower_row: NDArray[np.int64],
    row_weight: NDArray[np.float32],
    left: NDArray[np.uint32],
    right: NDArray[np.uint32],
    column_weight: NDArray[np.float32],
    mean: NDArray[np.float32],
    factor: NDArray[np.float32],
    out: NDArray[np.float32] | NDArray[np.uint16],
    start: int,
    stop: int,
) -> None:
    """Fill rows `start` to `stop - 1` of `out` with resized images, normalised.

    Rows of a batch are counted through.

    Convention:
        Bilinear. Row y of the result lies between rows `lower_row[y]` and the next of the image,
        at `row_weight[y]` of the way; the last row is its own neighbour. Value i of a row lies
        between values `left[i]` and `right[i]` of the image's row, at `column_weight[i]`.

    Args:
        pixels: the images' memory; row y of the batch begins at y * row_step.
        row_step: bytes from one row to the next.
        image_size: (rows, values per row) of an image.
        lower_row: (h,) image row at or above each row of the result.
        row_weight: (h,) in 0..1, how far each row of the result is on to the next image row.
        left: (w * 3,) value of an image's row at or before each value of a row of the result.
        right: (w * 3,) value of an image's row after each value of a row of the result.
        column_weight: (w * 3,) in 0..1, how far each value is from `left` to `right`.
        mean: (w * 3,) per value of a row, subtracted.
        factor: (w * 3,) per value of a row, multiplied with.
        out: (N * h, w * 3), written; float32 or, as uint16, the bits of bfloat16.
        start: first row to fill, counted through the batch.
        stop: one past the last row to fill.
    """
    blended = np.empty(image_size[1], np.float32)
    num_rows = np.uint64(len(lower_row))
    for row in range(np.uint64(start), np.uint64(stop)):
        first, y = row // num_rows * np.uint64(image_size[0]), row % num_rows
        above = (first + np.uint64(lower_row[y])) * row_step
        below = (first + np.uint64(min(lower_row[y] + 1, image_size[0] - 1))) * row_step
        down = row_weight[y]
        for i in range(np.uint64(image_size[1])):
            upper = np.float32(pixels[above + i])
            blended[i] = upper + down * (np.float32(pixels[below + i]) - upper)
        for i in range(np.uint64(out.shape[1])):
            near, far = blended[left[i]], blended[right[i]]
            value = (near + column_weight[i] * (far - near) - mean[i]) * factor[i]
            out[row, i] = f32_to_bf16(value, out)
