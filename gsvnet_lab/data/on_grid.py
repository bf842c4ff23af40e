# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Tensors on the grid, as `gsvnet_model.images.grid` brings a camera's images there."""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.images.grid import GridFilter, grid_size, missing_pixels, whole_edges

_Edges: TypeAlias = tuple[float, ...]
"""Where the cells of an axis begin and, last, where the last cell ends, pixels; ascending."""


def image_on_grid(image: Tensor, stride: int, grid_filter: GridFilter) -> Tensor:
    """Return an image that is a tensor already on the grid, on the device where it lies.

    Args:
        image: (N, 3, H, W) uint8 RGB, any device.
        stride: image pixels per cell and direction.
        grid_filter: how the image comes to the grid; see `gsvnet_model.images.grid.grid_image`.

    Returns:
        (N, 3, h, w) float32 RGB values 0..255, whole numbers but for "bilinear".

    Convention:
        the cells lie where `grid_image` has them.
    """
    values = values_on_grid(image.float(), stride, grid_filter)
    return values if grid_filter == "bilinear" else values.round()


def values_on_grid(values: Tensor, stride: int, grid_filter: GridFilter) -> Tensor:
    """Return any values of an image's pixels on the grid, not rounded.

    Args:
        values: (N, C, H, W) float32, any device.
        stride: image pixels per cell and direction.
        grid_filter: how the values come to the grid; see `grid_image`.

    Returns:
        (N, C, h, w) float32.

    Convention:
        the cells lie where `grid_image` has them.
    """
    height, width = values.shape[2:]
    rows, columns = grid_size(height, width, stride, grid_filter)
    if grid_filter == "bilinear":
        return F.interpolate(values, (rows, columns), mode="bilinear", align_corners=True)
    if grid_filter == "area":
        return averaged(values, _equal_edges(height, rows), _equal_edges(width, columns))
    below, right = missing_pixels(height, width, stride)
    if below or right:
        values = F.pad(values, (0, right, 0, below), mode="replicate")
    return averaged(
        values,
        tuple(whole_edges(values.shape[2], rows, stride).tolist()),
        tuple(whole_edges(values.shape[3], columns, stride).tolist()),
    )


@functools.lru_cache(maxsize=16)
def _equal_edges(side: int, cells: int) -> _Edges:
    """Return where the cells of an axis of the "area" grid begin, and the end of the last."""
    return tuple((np.arange(cells + 1) * (side / cells)).tolist())


def averaged(values: Tensor, row_edges: _Edges, column_edges: _Edges) -> Tensor:
    """Return the mean of the pixels that each cell covers; a cell may begin inside a pixel.

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
def _whole_step(edges: _Edges) -> int:
    """Return the pixels of a cell where all cells have the same whole number of them, else 0."""
    first, *others = np.diff(edges).tolist()
    return int(first) if first == int(first) and all(step == first for step in others) else 0


# Kept for good: a recording on a GPU goes on reading them.
@functools.cache
def _covered(edges: _Edges, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
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
