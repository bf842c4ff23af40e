# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Paint on the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.path import STEP_M, rng_of

if TYPE_CHECKING:
    from cv2.typing import MatLike  # not in Ubuntu's OpenCV 4.6

Field = NDArray[np.float32]
"""(h, W) or (h, 1) values of the pixels below the horizon."""


def planes(fields: MatLike) -> tuple[Field, ...]:
    """Returns the channels of (h, W, channels) fields as (h, W) fields."""
    return tuple(np.asarray(plane, np.float32) for plane in cv2.split(fields))


@dataclass(frozen=True)
class Place:
    """Where the pixels below the horizon lie.

    Attributes:
        s, d: (h, W) metres along the street from the window's first node, and right of its line.
        side: (h, W) 0 left of the line, 1 right.
        fine_s, fine_d: (h, 1) metres that a pixel covers along and across the street.
    """

    s: Field
    d: Field
    side: Field
    fine_s: Field
    fine_d: Field

    def look_up(self, table: NDArray[np.float32], shift_m: Field | float = 0.0) -> Field:
        """Reads columns of a cross section, interpolating along the street.

        Args:
            table: (2, n, columns) float32, at most 4 columns.
            shift_m: distance in metres that is added to s.

        Returns:
            (h, W, columns) float32.
        """
        at = np.clip((self.s + shift_m) / STEP_M, 0, table.shape[1] - 1).astype(np.float32)
        return np.asarray(
            cv2.remap(np.ascontiguousarray(table), at, self.side, cv2.INTER_LINEAR), np.float32
        )

    def beyond(self, edge: Field) -> Field:
        """Returns the share of each pixel that lies farther from the line than edge."""
        share = (np.abs(self.d) - edge) / self.fine_d + 0.5
        return np.asarray(np.clip(share, 0.0, 1.0), np.float32)

    def stripe(self, middle: Field | float, width: float) -> Field:
        """Returns the share of each pixel that a stripe along the street covers."""
        inside = (width / 2 - np.abs(np.abs(self.d) - middle)) / self.fine_d + 0.5
        most = np.minimum(1.0, width / self.fine_d)
        return np.asarray(np.clip(inside, 0.0, most), np.float32)


@dataclass(frozen=True)
class Marks:
    """The manner in which one drive's roads are painted.

    Attributes:
        dash_m, every_m: length and distance of the dashes of the middle line.
        double: whether the middle line is double and solid.
        edge_line: whether a white line runs along the kerb.
    """

    dash_m: float
    every_m: float
    double: bool
    edge_line: bool

    def coverage(
        self, place: Place, first_m: float, kerb: Field, flags: Sequence[Field]
    ) -> tuple[Field, Field]:
        """Returns the shares (h, W) of white and of yellow paint.

        Args:
            place: the pixels.
            first_m: distance along the street of the window's first node.
            kerb: (h, W) distance of the kerb from the line.
            flags: columns section.FLAGS, (h, W) each: parking, yellow, zebra, 0 or 1.
        """
        parking, double_yellow, zebra = flags
        middle = place.stripe(0.1, 0.1) if self.double else place.stripe(0.0, 0.13)
        if not self.double:
            middle = middle * _dashes(place, first_m, self.every_m, self.dash_m)
        white = middle
        if self.edge_line:
            white = np.maximum(white, place.stripe(kerb - 0.5, 0.1) * (double_yellow < 0.5))
        bays = place.stripe(kerb - 2.1, 0.1) * _dashes(place, first_m, 2.0, 1.0)
        white = np.maximum(white, bays * (parking > 0.5))
        bars = _waves(place.d, place.fine_d, 1.1, 0.55)
        white = np.where(zebra > 0.5, bars, white)
        yellow = np.maximum(place.stripe(kerb - 0.28, 0.08), place.stripe(kerb - 0.46, 0.08))
        return white, yellow * (double_yellow > 0.5) * (zebra < 0.5)


def _waves(x: Field, fine: Field, every: float, wide: float) -> Field:
    """Returns coverage of bars of a width, repeated, as pixels of size fine see them."""
    off = np.abs(np.mod(x, np.float32(every)) - every / 2)
    sharp = np.clip((wide / 2 - off) / fine + 0.5, 0.0, 1.0)
    blur = np.clip(fine / every, 0.0, 1.0)
    return np.asarray(sharp * (1 - blur) + blur * (wide / every), np.float32)


def _dashes(place: Place, first_m: float, every_m: float, long_m: float) -> Field:
    shifted = place.s + np.float32(first_m % every_m)
    return _waves(shifted, place.fine_s, every_m, long_m)


def draw_marks(seed: int) -> Marks:
    """Draws the manner of a drive's markings."""
    rng = rng_of(seed, 71, 0)
    every = float(rng.choice([6.0, 9.0]))
    return Marks(every * float(rng.uniform(0.3, 0.65)), every, bool(rng.random() < 0.15),
                 bool(rng.random() < 0.25))  # fmt: skip
