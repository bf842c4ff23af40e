# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Tensors on the grid, as `gsvnet_model.images.grid` brings a camera's images there."""

from __future__ import annotations

import functools

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.images.grid import GridFilter, grid_size, missing_pixels, whole_edges
from gsvnet_model.ops.average import Edges, average_reference


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
        return average_reference(values, _equal_edges(height, rows), _equal_edges(width, columns))
    below, right = missing_pixels(height, width, stride)
    if below or right:
        values = F.pad(values, (0, right, 0, below), mode="replicate")
    return average_reference(
        values,
        tuple(whole_edges(values.shape[2], rows, stride).tolist()),
        tuple(whole_edges(values.shape[3], columns, stride).tolist()),
    )


@functools.lru_cache(maxsize=16)
def _equal_edges(side: int, cells: int) -> Edges:
    """Return where the cells of an axis of the "area" grid begin, and the end of the last."""
    return tuple((np.arange(cells + 1) * (side / cells)).tolist())
