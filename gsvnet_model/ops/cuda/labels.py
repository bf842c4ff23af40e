# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The labels of every pixel on a GPU in one kernel; the CUDA backend of `gsvnet_model.ops.labels`.

Imported where a GPU is used only: Triton comes with PyTorch's builds for CUDA.
"""

# Triton reads the annotations of a kernel, and knows its own alone.
# ruff: noqa: ANN001, ANN202

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256
"""Pixels of a row that a program labels."""


def label_pixels(logits: Tensor, probabilities: Tensor, height: int, width: int) -> Tensor:
    """Interpolate, compare and rate without a value in memory between.

    Args:
        logits: (K, h, w) float32, contiguous.
        probabilities: (K, h, w) float32, contiguous, softmax of the logits.
        height: H, rows of the image.
        width: W, columns of the image.

    Returns:
        (2, H, W) uint8 where the logits are: labels, then confidence.
    """
    classes, rows, columns = logits.shape
    out = torch.empty((2, height, width), dtype=torch.uint8, device=logits.device)
    programs = (height, triton.cdiv(width, _BLOCK))
    with torch.cuda.device_of(logits):  # type: ignore[no-untyped-call]
        _label_row[programs](
            logits,
            probabilities,
            out,
            classes,
            rows,
            columns,
            height,
            width,
            (rows - 1) / max(height - 1, 1),
            (columns - 1) / max(width - 1, 1),
            _BLOCK,
        )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _label_row(  # type: ignore[no-untyped-def]
    logits,
    probabilities,
    out,
    classes,
    rows,
    columns,
    height,
    width,
    row_step,
    column_step,
    block: tl.constexpr,
):
    y = tl.program_id(0)
    x = tl.program_id(1) * block + tl.arange(0, block)
    inside = x < width
    place_y, place_x = y * row_step, x * column_step
    top = tl.minimum(place_y.to(tl.int32), rows - 1)
    left = tl.minimum(place_x.to(tl.int32), columns - 1)
    # At the last row and column the neighbour is the cell itself, at a weight of 0.
    below = (top < rows - 1).to(tl.int32) * columns
    right = (left < columns - 1).to(tl.int32)
    down, across = place_y - top, place_x - left
    cell = top * columns + left
    best = tl.full((block,), float("-inf"), tl.float32)
    winner = tl.zeros((block,), tl.int32)
    for index in range(classes):
        at = logits + index * rows * columns + cell
        value = _between_cells(at, below, right, down, across, inside)
        wins = value > best
        best = tl.where(wins, value, best)
        winner = tl.where(wins, index, winner)
    at = probabilities + winner * rows * columns + cell
    share = 255 * _between_cells(at, below, right, down, across, inside)
    share = tl.where(share == share, tl.minimum(share, 255.0), 0.0)
    pixel = y * width + x
    tl.store(out + pixel, winner.to(tl.uint8), inside)
    tl.store(out + height * width + pixel, share.to(tl.uint8), inside)


@triton.jit
def _between_cells(at, below, right, down, across, inside):  # type: ignore[no-untyped-def]
    """Interpolate between the cell at a pointer, its right and lower neighbours and the fourth."""
    upper = (1 - across) * tl.load(at, inside) + across * tl.load(at + right, inside)
    corner = tl.load(at + below + right, inside)
    lower = (1 - across) * tl.load(at + below, inside) + across * corner
    return (1 - down) * upper + down * lower
