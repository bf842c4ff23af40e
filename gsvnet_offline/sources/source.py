# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The interface of all image sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_RATE_HZ = 15.0
"""Rate of sources without one of their own; CamVid's clip has it, and two cores keep up."""


class ImageSource(Protocol):
    """Images in order, with labels where these are known.

    Attributes:
        rate_hz: images per second.
        is_live: whether the images are gone once read, so that `images` cannot be repeated.
        is_recording: whether every image matters more than its time: it has no clock.
    """

    rate_hz: float
    is_live: bool
    is_recording: bool

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Return the images from the start, each (H, W, 3) uint8 RGB.

        Raises:
            ValueError: while iterating, if one cannot be read.
        """
        ...

    def labels(self, index: int) -> NDArray[np.uint8] | None:
        """Return the (H, W) uint8 class ids of image `index`, or None if unknown."""
        ...
