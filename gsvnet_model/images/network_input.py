# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From a camera image to the keyframe network's input: constants, size and tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.hardware.transfer import upload
from gsvnet_model.ops.normalise import normalise


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
        size = (image.shape[2], image.shape[3])
        return normalise(image, size, self.mean, self.std, precision)


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

    Args:
        image: (N, 3, H, W) uint8 RGB; one that `image_tensor` gives on the CPU is read once.
        size: (h, w) of the input; see `input_size`.
        normalisation: constants of the network.
        precision: dtype of the network.

    Returns:
        (N, 3, h, w), normalised, in the memory layout of the image.

    Convention:
        Bilinear with align_corners=True.
    """
    return normalise(image, size, normalisation.mean, normalisation.std, precision)


def input_size(height: int, width: int, scale: float, stride: int) -> tuple[int, int]:
    """Return the (height, width) of the keyframe network's input for an image.

    Args:
        height: H of the image, pixels.
        width: W of the image, pixels.
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
    rows, columns = (stride * (centred_cells(max(1, side), stride) - 1) + 1 for side in sides)
    return rows, columns


def centred_cells(side: int, stride: int) -> int:
    """Return the number of cells that lie a stride apart from the first pixel to about the last.

    Args:
        side: pixels of the axis, 1 or more.
        stride: pixels from one cell to the next.
    """
    return (side - 1 + stride // 2) // stride + 1
