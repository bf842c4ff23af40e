# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From a camera image to the inputs of the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

GridFilter = Literal["area", "bilinear"]
GRID_FILTERS: tuple[str, ...] = get_args(GridFilter)


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
        """Return the constants of the published SwiftNet."""
        return cls((73.15, 82.90, 72.3), (47.67, 48.49, 47.73))

    @classmethod
    def imagenet(cls) -> Normalisation:
        """Return ImageNet's constants, which the published BiSeNet uses."""
        return cls((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

    def apply(self, image: Tensor) -> Tensor:
        """Normalise (N, 3, H, W) RGB values of 0..255, any dtype, to float32."""
        mean = torch.tensor(self.mean, device=image.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=image.device).view(1, 3, 1, 1)
        return (image.float() - mean) / std


def image_tensor(image: NDArray[np.uint8] | NDArray[np.float32], device: torch.device) -> Tensor:
    """Return an (H, W, 3) image as a (1, 3, H, W) tensor of its type in channels-last memory.

    On the CPU the tensor is a view of the image: nothing is copied.
    """
    return torch.from_numpy(image).to(device, non_blocking=True).permute(2, 0, 1).unsqueeze(0)


def keyframe_image(image: Tensor, scale: float, normalisation: Normalisation) -> Tensor:
    """Return the keyframe network's input.

    Args:
        image: (1, 3, H, W) uint8 RGB.
        scale: input pixels per image pixel; the paper uses 0.75.
        normalisation: constants of the network.

    Returns:
        (1, 3, h, w) float32, normalised, in the memory layout of the image.

    Convention:
        Bilinear with align_corners=True. The sides are rounded down as published: 3 * (H // 4)
        at 0.75.

    See:
        Paper Sec. 4.1 (inference at 0.75 of the resolution).
    """
    normalised = normalisation.apply(image)
    if scale == 1.0:
        return normalised
    height, width = (scaled_side(side, scale) for side in image.shape[-2:])
    return F.interpolate(normalised, (height, width), mode="bilinear", align_corners=True)


def scaled_side(side: int, scale: float) -> int:
    """Return a side of the scaled image in pixels; at 0.75 the published 3 * (side // 4)."""
    return 3 * (side // 4) if scale == 0.75 else max(1, int(side * scale))


def grid_size(height: int, width: int, stride: int) -> tuple[int, int]:
    """Return the (height, width) of the grid of an image; sides are rounded down.

    Raises:
        ValueError: if the image is too small for a grid of at least 2 x 2 cells.
    """
    grid = (height // stride, width // stride)
    if min(grid) < 2:
        raise ValueError(
            f"expected an image of at least {2 * stride} x {2 * stride} pixels, "
            f"got {height} x {width}"
        )
    return grid


def grid_image(
    image: NDArray[np.uint8], grid: tuple[int, int], grid_filter: GridFilter
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return the image on the grid, on which flow, intra network and warp work.

    Args:
        image: (H, W, 3) uint8 RGB.
        grid: (h, w) of the grid.
        grid_filter: "area" averages what a cell covers; "bilinear" samples four pixels as the
            published code does, with its aliasing.

    Returns:
        (h, w, 3) grey levels, uint8 for "area" and float32 for "bilinear".

    Convention:
        "area": cell i covers pixels [i * H / h, (i + 1) * H / h). "bilinear": cell i lies on
        pixel i * (H - 1) / (h - 1) (align_corners=True).

    See:
        Paper Sec. 3 (flow and intra features at 1/8 of the resolution).
    """
    height, width = grid
    if grid_filter == "area":
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return resized.astype(np.uint8, copy=False)
    if grid_filter == "bilinear":
        values = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        sampled = F.interpolate(values, grid, mode="bilinear", align_corners=True)
        return sampled[0].permute(1, 2, 0).contiguous().numpy()
    raise ValueError(f"expected a grid filter out of {GRID_FILTERS}, got {grid_filter!r}")
