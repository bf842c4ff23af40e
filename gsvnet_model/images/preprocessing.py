# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From a camera image to the inputs of the networks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.hardware.transfer import upload
from gsvnet_model.ops.cpu.image import average_rows, normalise_rows, sample_rows
from gsvnet_model.ops.cpu.loops import corner_aligned, fill_rows

GridFilter = Literal["centred", "area", "bilinear"]
GRID_FILTERS: tuple[str, ...] = get_args(GridFilter)

_COMPILED_PRECISIONS = (torch.float32, torch.bfloat16)

_PIXELS_PER_THREAD = 1 << 18
"""Smaller results are not worth a second thread."""
_AVERAGED_PIXELS_PER_THREAD = 1 << 20
"""Likewise for images that are averaged, which is quicker."""


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and standard deviation that a network was trained with.

    Attributes:
        mean: RGB, grey levels 0..255.
        std: RGB, grey levels, positive.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Check the values."""
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(
                f"expected three means and three positive deviations, got {self.mean}, {self.std}"
            )

    @classmethod
    def swiftnet(cls) -> Normalisation:
        """Return the constants of the released SwiftNet."""
        return cls((73.15, 82.90, 72.3), (47.67, 48.49, 47.73))

    @classmethod
    def imagenet(cls) -> Normalisation:
        """Return ImageNet's constants, which the released BiSeNet uses."""
        return cls((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

    def apply(self, image: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
        """Normalise an image; its memory layout stays.

        Args:
            image: (N, 3, H, W) RGB values of 0..255, any dtype and device.
            precision: dtype of the result.

        Returns:
            (N, 3, H, W).
        """
        if _is_interleaved(image) and precision in _COMPILED_PRECISIONS:
            return _in_one_pass(image, None, self, precision)
        mean, std = _on_device(self, image.device)
        return ((image.float() - mean) / std).to(precision)


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


def image_tensor(image: NDArray[np.uint8] | NDArray[np.float32], device: torch.device) -> Tensor:
    """Return an (H, W, 3) image as a (1, 3, H, W) tensor of its type in channels-last memory.

    On the CPU the tensor is a view of the image: nothing is copied. See `upload`.
    """
    return upload(image, device).permute(2, 0, 1).unsqueeze(0)


def keyframe_image(
    image: Tensor,
    size: tuple[int, int],
    normalisation: Normalisation,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Return the keyframe network's input.

    From what `image_tensor` gives on the CPU it is made in one pass.

    Args:
        image: (N, 3, H, W) uint8 RGB.
        size: (h, w) of the input; see `input_size`.
        normalisation: constants of the network.
        precision: dtype of the network.

    Returns:
        (N, 3, h, w), normalised, in the memory layout of the image.

    Convention:
        Bilinear with align_corners=True.
    """
    if size == tuple(image.shape[-2:]):
        return normalisation.apply(image, precision)
    if _is_interleaved(image) and precision in _COMPILED_PRECISIONS:
        return _in_one_pass(image, size, normalisation, precision)
    values = normalisation.apply(image)
    resized = F.interpolate(values, size, mode="bilinear", align_corners=True)
    return resized.to(precision)


def input_size(height: int, width: int, scale: float, stride: int) -> tuple[int, int]:
    """Return the (height, width) of the keyframe network's input for an image.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        scale: input pixels per image pixel; the paper uses 0.75.
        stride: the sides are one more than the nearest multiple of this; 1 takes any.

    Convention:
        Cell i of logits at stride s is centred on input pixel s * i. Only on a side of s * n + 1
        pixels do the last cell and the last pixel coincide, as everything that reads logits with
        align_corners=True takes them to. Before that the sides are rounded down as released:
        3 * (H // 4) at 0.75.

    See:
        Paper Sec. 4.1 (inference at 0.75 of the resolution).
    """
    sides = (3 * (side // 4) if scale == 0.75 else int(side * scale) for side in (height, width))
    rows, columns = (stride * (_centred_cells(max(1, side), stride) - 1) + 1 for side in sides)
    return rows, columns


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
    """Return the (height, width) of the grid of an image.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        stride: pixels per cell and direction.
        grid_filter: "centred" has a cell on pixels 0, stride, 2 * stride, ... to the far side, as
            the maps of strided convolutions have; of the others the sides are rounded down.

    Raises:
        ValueError: if the image is too small for a grid of at least 2 x 2 cells.
    """
    if grid_filter == "centred":
        grid = (_centred_cells(height, stride), _centred_cells(width, stride))
    else:
        grid = (height // stride, width // stride)
    if min(grid) < 2:
        raise ValueError(
            f"expected an image of at least {2 * stride} x {2 * stride} pixels, "
            f"got {height} x {width}"
        )
    return grid


def _centred_cells(side: int, stride: int) -> int:
    """Return the number of cells that lie a stride apart from the first pixel to about the last."""
    return (side - 1 + stride // 2) // stride + 1


def grid_image(
    image: NDArray[np.uint8], stride: int, grid_filter: GridFilter
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return the image on the grid, on which flow, intra network and warp work.

    Args:
        image: (H, W, 3) uint8 RGB.
        stride: image pixels per cell and direction.
        grid_filter: "centred" and "area" average what a cell covers; "bilinear" samples four
            pixels as the released code does, with its aliasing.

    Returns:
        (h, w, 3) grey levels, uint8, float32 for "bilinear"; see `grid_size`.

    Convention:
        "centred": cell i covers the pixels from s * i - s / 2 up to s * i + s / 2, and the first
        and last one what there is. So a cell of the image lies where that of the logits does.
        "area": cell i covers pixels [i * H / h, (i + 1) * H / h). "bilinear": cell i lies on pixel
        i * (H - 1) / (h - 1) (align_corners=True).

    Raises:
        ValueError: as `grid_size`.

    See:
        Paper Sec. 3 (flow and intra features at 1/8 of the resolution).
    """
    height, width = grid_size(image.shape[0], image.shape[1], stride, grid_filter)
    if grid_filter == "area":
        return _averaged(image, height, width)
    if grid_filter == "centred":
        return _averaged_whole_pixels(
            image,
            _centred_edges(image.shape[0], height, stride),
            _centred_edges(image.shape[1], width, stride),
        )
    if grid_filter == "bilinear":
        pixels = image_tensor(np.ascontiguousarray(image), torch.device("cpu"))
        sampled = _in_one_pass(pixels, (height, width), _GREY_LEVELS, torch.float32)
        return sampled[0].permute(1, 2, 0).numpy()
    raise ValueError(f"expected a grid filter out of {GRID_FILTERS}, got {grid_filter!r}")


def _averaged(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def _averaged_whole_pixels(
    image: NDArray[np.uint8], row_edges: NDArray[np.uint64], column_edges: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """Return the mean of the pixels between edges, as `_averaged` rounds it, but faster."""
    if image.strides[1:] != (3, 1) or image.strides[0] < 0:
        image = np.ascontiguousarray(image)
    pixels, row_step = _memory_of(image_tensor(image, torch.device("cpu")))
    grey = np.empty((len(row_edges) - 1, len(column_edges) - 1, 3), np.uint8)
    loop = functools.partial(average_rows, pixels, row_step, row_edges, column_edges, grey)
    num_pixels = image.shape[0] * image.shape[1]
    fill_rows(loop, len(grey), 1 + num_pixels // _AVERAGED_PIXELS_PER_THREAD)
    return grey


@functools.lru_cache(maxsize=16)
def _centred_edges(side: int, cells: int, stride: int) -> NDArray[np.uint64]:
    """Return where the cells of an axis of the "centred" grid begin, and the end of the last."""
    edges = np.arange(cells + 1) * stride - stride // 2
    edges[0], edges[-1] = 0, side
    return edges.astype(np.uint64)


def image_on_grid(image: Tensor, stride: int, grid_filter: GridFilter) -> Tensor:
    """Return what `grid_image` returns, of an image that is a tensor already, where it is.

    Args:
        image: (N, 3, H, W) uint8 RGB, any device.
        stride: as there.
        grid_filter: as there.

    Returns:
        (N, 3, h, w) float32 grey levels, whole ones but for "bilinear".

    Convention:
        as there.
    """
    values = values_on_grid(image.float(), stride, grid_filter)
    return values if grid_filter == "bilinear" else values.round()


def values_on_grid(values: Tensor, stride: int, grid_filter: GridFilter) -> Tensor:
    """Return what `image_on_grid` returns, of any values of the pixels and not rounded.

    Args:
        values: (N, C, H, W) float32.
        stride: as there.
        grid_filter: as there.

    Returns:
        (N, C, h, w) float32.
    """
    height, width = values.shape[2:]
    grid = grid_size(height, width, stride, grid_filter)
    if grid_filter == "bilinear":
        return F.interpolate(values, grid, mode="bilinear", align_corners=True)
    if grid_filter == "area" and height % grid[0] == 0 and width % grid[1] == 0:  # whole pixels
        rows, columns = height // grid[0], width // grid[1]
        covered = values.reshape(*values.shape[:2], grid[0], rows, grid[1], columns)
        return covered.mean((3, 5))
    (of_rows, row_shares), (of_columns, column_shares) = (
        _covered(cells, size, stride, grid_filter, values.device)
        for cells, size in zip(grid, (height, width), strict=True)
    )
    # No matrix products: where somebody allows it, a GPU rounds their inputs.
    by_rows = (values[:, :, of_rows] * row_shares[..., None]).sum(3)
    return (by_rows[..., of_columns] * column_shares).sum(-1)


def _is_interleaved(image: Tensor) -> bool:
    """Return whether (N, 3, H, W) are bytes on the CPU in the order R, G, B, R, G, B, ...

    Rows may be padded, as those of an image message.
    """
    batch, channels, height, _ = image.shape
    return (
        image.dtype == torch.uint8
        and image.device.type == "cpu"
        and (channels, image.stride(1), image.stride(3)) == (3, 1, 3)
        and (batch == 1 or image.stride(0) == height * image.stride(2))
    )


def _memory_of(image: Tensor) -> tuple[NDArray[np.uint8], np.uint64]:
    """Return the bytes of an interleaved image, padding included, and from one row to the next."""
    batch, _, height, width = image.shape
    row_step = image.stride(2)
    num_bytes = (batch * height - 1) * row_step + 3 * width
    return image.as_strided((num_bytes,), (1,)).numpy(), np.uint64(row_step)


def _in_one_pass(
    image: Tensor,
    size: tuple[int, int] | None,
    normalisation: Normalisation,
    precision: torch.dtype,
) -> Tensor:
    """Return an interleaved image normalised, and resized unless `size` is None.

    Convention:
        Bilinear, align_corners=True.
    """
    batch, _, height, width = image.shape
    pixels, row_step = _memory_of(image)
    rows, columns = size or (height, width)
    out = np.empty(
        (batch * rows, 3 * columns), np.uint16 if precision == torch.bfloat16 else np.float32
    )
    mean, factor = _constants(normalisation, columns)
    if size is None:
        fill = functools.partial(normalise_rows, pixels, row_step, mean, factor, out)
    else:
        lower_row, row_weight = corner_aligned(height, rows)
        left, right, column_weight = _value_columns(width, columns)
        fill = functools.partial(
            sample_rows,
            pixels,
            row_step,
            (height, 3 * width),
            lower_row,
            row_weight,
            left,
            right,
            column_weight,
            mean,
            factor,
            out,
        )
    fill_rows(fill, len(out), 1 + len(out) * columns // _PIXELS_PER_THREAD)
    values = torch.from_numpy(out)
    if precision == torch.bfloat16:
        values = values.view(torch.bfloat16)
    return values.view(batch, rows, columns, 3).permute(0, 3, 1, 2)


# Kept for good: a recording on a GPU goes on reading them.
@functools.cache
def _on_device(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, (1, 3, 1, 1) each."""
    with torch.inference_mode(False):
        mean, std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (normalisation.mean, normalisation.std)
        )
    return mean, std


@functools.cache  # as above
def _covered(
    cells: int, size: int, stride: int, grid_filter: GridFilter, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return which pixels each cell of an axis covers, and its share that each of them is.

    Returns:
        (cells, P) int64 and float32; cells of fewer than P pixels go on with shares of 0.
    """
    edges = np.arange(cells + 1) * (size / cells)
    if grid_filter == "centred":
        edges = _centred_edges(size, cells, stride).astype(float)
    first = np.floor(edges[:-1, None])
    pixels = first + np.arange(np.max(np.ceil(edges[1:, None]) - first))
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = covered.clip(0) / np.diff(edges)[:, None]
    return (
        torch.from_numpy(pixels.clip(max=size - 1).astype(np.int64)).to(device),
        torch.from_numpy(shares.astype(np.float32)).to(device),
    )


@functools.lru_cache(maxsize=16)
def _constants(
    normalisation: Normalisation, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and 1 / deviation for each of the 3 * width values of a row."""
    mean = np.array(normalisation.mean, np.float32)
    factor = 1 / np.array(normalisation.std, np.float32)
    return np.tile(mean, width), np.tile(factor, width)


@functools.lru_cache(maxsize=16)
def _value_columns(
    width: int, columns: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]:
    """Return which two values of an image's row each value of a resized row lies between.

    Returns:
        left, right: (3 * columns,) places in the image's row.
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
