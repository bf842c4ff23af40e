# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The picture under construction and what each of its pixels shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SKY, FAR_BUILDING, FAR_TREE, ROAD, PAVEMENT, GRASS = range(6)
"""Surfaces that are not pieces."""

BASE_LABELS = (0, 1, 5, 3, 4, 5)
"""Class ids of these surfaces; grass counts as vegetation, as in CamVid."""


@dataclass(frozen=True)
class Buffers:
    """Canvas of one frame.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        surface: (H, W) int32, one of the surfaces above or 6 + the number of a piece.
        inverse_depth: (H, W) float32, 1 / metres along the view; 0 at infinity.
    """

    image: NDArray[np.uint8]
    surface: NDArray[np.int32]
    inverse_depth: NDArray[np.float32]


def empty_buffers(height: int, width: int) -> Buffers:
    """Returns a canvas that shows sky everywhere."""
    return Buffers(
        image=np.zeros((height, width, 3), np.uint8),
        surface=np.full((height, width), SKY, np.int32),
        inverse_depth=np.zeros((height, width), np.float32),
    )
