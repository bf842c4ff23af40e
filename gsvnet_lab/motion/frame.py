# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A frame of a moving scene with exact labels and flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MovingFrame:
    """One frame of a clip.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids, 255 = void.
        flow: (H, W, 2) float32 flow to the previous frame of the clip; zeros in the first frame.
        valid: (H, W) bool, true where the same point was visible in the previous frame; false
            everywhere in the first frame.

    Convention: backward flow, current(x) = previous(x + flow(x)), (dx, dy) in pixels of this
        frame.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    flow: NDArray[np.float32]
    valid: NDArray[np.bool_]
