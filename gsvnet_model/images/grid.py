# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The image on the grid, on which flow, intra network and warp work."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.images.network_input import (
    Normalisation,
    centred_cells,
    image_tensor,
    keyframe_image,
)
from gsvnet_model.ops.average import average_whole_pixels

GridFilter = Literal["centred", "area", "bilinear"]
GRID_FILTERS: tuple[str, ...] = get_args(GridFilter)

_FEWEST_CELLS = 2
"""Cells of a side at least: with align_corners=True a single cell has no size."""

_GREY_LEVELS = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Leaves values as they are."""


@dataclass(frozen=True)
class GridImage:
    """An image on the grid.

    Attributes:
        pixels: (h, w, 3) RGB, 0..255.
        normalised: (1, 3, h, w) float32 on the model's device.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    normalised: Tensor


def check_grid(stride: int, grid_filter: str) -> None:
    """Check what decides a grid.

    Raises:
        ValueError: if the stride is not 4, 8 or 16, or the filter is unknown.
    """
    if stride not in (4, 8, 16):
        raise ValueError(f"expected a grid stride of 4, 8 or 16, got {stride}")
    if grid_filter not in GRID_FILTERS:
        raise ValueError(f"expected a grid filter out of {GRID_FILTERS}, got {grid_filter!r}")


def grid_size(height: int, width: int, stride: int, grid_filter: GridFilter) -> tuple[int, int]:
    """Return the (height, width) of the grid of an image: at least 2 x 2 cells.

    Args:
        height: H of the image, pixels.
        width: W of the image, pixels.
        stride: pixels per cell and direction.
        grid_filter: "centred" has a cell on pixels 0, stride, 2 * stride, ... to the far side, as
            the maps of strided convolutions have; of the others the sides are rounded down.

    Raises:
        ValueError: if the image has no pixel.
    """
    if min(height, width) < 1:
        raise ValueError(
            f"expected an image of at least 1x1 pixels (width x height), got {width}x{height}"
        )
    rows, columns = (
        max(
            _FEWEST_CELLS,
            centred_cells(side, stride) if grid_filter == "centred" else side // stride,
        )
        for side in (height, width)
    )
    return rows, columns


def grid_image(
    image: NDArray[np.uint8], stride: int, grid_filter: GridFilter
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return a camera's image on the grid.

    Args:
        image: (H, W, 3) uint8 RGB, any strides.
        stride: image pixels per cell and direction.
        grid_filter: "centred" and "area" average what a cell covers; "bilinear" samples four
            pixels as the released code does, with its aliasing.

    Returns:
        (h, w, 3) RGB values 0..255, uint8, float32 for "bilinear"; see `grid_size`.

    Convention:
        "centred": cell i covers the pixels from s * i - s / 2 up to s * i + s / 2, the first and
        the last cell those that exist. So the image's cells lie where the logits' cells lie. A
        side of so few pixels that its second cell would have none is continued by its last pixel.
        "area": cell i covers pixels [i * H / h, (i + 1) * H / h). "bilinear": cell i lies on pixel
        i * (H - 1) / (h - 1) (align_corners=True).

    Raises:
        ValueError: if the image has no pixel or the filter is unknown.

    See:
        Paper Sec. 3 (flow and intra features at 1/8 of the resolution).
    """
    rows, columns = grid_size(image.shape[0], image.shape[1], stride, grid_filter)
    if grid_filter == "area":
        resized = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        return resized.astype(np.uint8, copy=False)
    if grid_filter == "centred":
        below, right = missing_pixels(image.shape[0], image.shape[1], stride)
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        return average_whole_pixels(
            image,
            whole_edges(image.shape[0], rows, stride),
            whole_edges(image.shape[1], columns, stride),
        )
    if grid_filter == "bilinear":
        pixels = image_tensor(np.ascontiguousarray(image), torch.device("cpu"))
        sampled = keyframe_image(pixels, (rows, columns), _GREY_LEVELS)
        return sampled[0].permute(1, 2, 0).numpy()
    raise ValueError(f"expected a grid filter out of {GRID_FILTERS}, got {grid_filter!r}")


def missing_pixels(height: int, width: int, stride: int) -> tuple[int, int]:
    """Return by how many rows and columns an image is too small for 2 x 2 "centred" cells."""
    fewest = stride // 2 + 1
    return max(0, fewest - height), max(0, fewest - width)


@functools.lru_cache(maxsize=16)
def whole_edges(side: int, cells: int, stride: int) -> NDArray[np.uint64]:
    """Return where the cells of an axis of the "centred" grid begin, and the end of the last."""
    edges = np.arange(cells + 1) * stride - stride // 2
    edges[0], edges[-1] = 0, side
    return edges.astype(np.uint64)
