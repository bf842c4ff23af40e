# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The mean of the pixels that each cell of a grid covers."""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.ops.cpu.image import average_rows
from gsvnet_model.ops.cpu.loops import fill_rows

Edges: TypeAlias = tuple[float, ...]
"""Where the cells of an axis begin and, last, where the last cell ends, pixels; ascending."""

_PIXELS_PER_THREAD = 1 << 20
"""Smaller images are not worth a second thread."""


def average_whole_pixels(
    image: NDArray[np.uint8], row_edges: NDArray[np.uint64], column_edges: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """Average a camera's image over cells of whole pixels, with a compiled loop.

    Args:
        image: (H, W, 3) uint8 RGB, any strides.
        row_edges: (h + 1,) first row of each cell and the end of the last, strictly ascending.
        column_edges: (w + 1,) first column of each cell and the end of the last, strictly
            ascending.

    Returns:
        (h, w, 3) uint8: what `average_reference` returns, rounded; halves to the even number.
    """
    if image.strides[1:] != (3, 1) or image.strides[0] < 0:
        image = np.ascontiguousarray(image)
    height, width, _ = image.shape
    row_step = image.strides[0]
    num_bytes = (height - 1) * row_step + 3 * width  # padding between the rows included
    pixels = torch.from_numpy(image).as_strided((num_bytes,), (1,)).numpy()
    cells = np.empty((len(row_edges) - 1, len(column_edges) - 1, 3), np.uint8)
    loop = functools.partial(
        average_rows, pixels, np.uint64(row_step), row_edges, column_edges, cells
    )
    fill_rows(loop, len(cells), 1 + height * width // _PIXELS_PER_THREAD)
    return cells


def average_reference(values: Tensor, row_edges: Edges, column_edges: Edges) -> Tensor:
    """Average over cells with PyTorch, on any device; a cell may begin inside a pixel.

    Args:
        values: (N, C, H, W) float32.
        row_edges: h + 1 edges of the cells along the rows.
        column_edges: w + 1 edges of the cells along the columns.

    Returns:
        (N, C, h, w) float32.
    """
    height, width = values.shape[2:]
    row_step, column_step = _whole_step(row_edges), _whole_step(column_edges)
    if row_step and column_step:
        cells = (height // row_step, row_step, width // column_step, column_step)
        return values.reshape(*values.shape[:2], *cells).mean((3, 5))
    rows, row_shares = _covered(row_edges, height, values.device)
    columns, column_shares = _covered(column_edges, width, values.device)
    # No matrix products: where somebody allows it, a GPU rounds their inputs.
    by_rows = (values[:, :, rows] * row_shares[..., None]).sum(3)
    return (by_rows[..., columns] * column_shares).sum(-1)


@functools.lru_cache(maxsize=64)
def _whole_step(edges: Edges) -> int:
    """Return the pixels of a cell where all cells have the same whole number of them, else 0."""
    first, *others = np.diff(edges).tolist()
    return int(first) if first == int(first) and all(step == first for step in others) else 0


# Kept for good: a recording on a GPU goes on reading them.
@functools.cache
def _covered(edges: Edges, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return which pixels each cell of an axis covers, and which share of the cell each one is.

    Args:
        edges: h + 1 edges of the cells of the axis, pixels.
        size: pixels of the axis.
        device: where the results are wanted.

    Returns:
        indices (h, P) int64 and shares (h, P) float32; cells of fewer than P pixels go on with
        shares of 0.
    """
    ends = np.array(edges)
    first = np.floor(ends[:-1, None])
    pixels = first + np.arange(np.max(np.ceil(ends[1:, None]) - first))
    covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    shares = covered.clip(0) / np.diff(ends)[:, None]
    return (
        torch.from_numpy(pixels.clip(max=size - 1).astype(np.int64)).to(device),
        torch.from_numpy(shares.astype(np.float32)).to(device),
    )
