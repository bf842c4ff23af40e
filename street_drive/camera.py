# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The dashboard camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without roll.

    Convention: the world is metres with x, y on the ground and z up; camera axes are x right,
    y down, z forward; pixel (u, v) is the centre of column u, row v, the first being (0, 0).

    Attributes:
        position: (3,) float64, metres.
        yaw: direction of travel, radians from the world's x axis towards its y axis.
        pitch: radians that the view points below the horizon.
        focal_px: focal length.
        height, width: picture size in pixels.
    """

    position: NDArray[np.float64]
    yaw: float
    pitch: float
    focal_px: float
    height: int
    width: int

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point (u, v)."""
        return (self.width - 1) / 2, (self.height - 1) / 2

    @property
    def horizon_px(self) -> float:
        """The row of the horizon."""
        return self.centre_px[1] - self.focal_px * float(np.tan(self.pitch))

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) float64, world axes to camera axes; its rows are right, down and forward."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[s, -c, 0.0], [-sp * c, -sp * s, -cp], [cp * c, cp * s, -sp]])

    def directions(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the world directions (..., 3) of pixels, scaled to depth 1."""
        cu, cv = self.centre_px
        x, y = (u - cu) / self.focal_px, (v - cv) / self.focal_px
        in_camera = np.stack([x, y, np.ones_like(x)], axis=-1)
        return np.asarray(in_camera @ self.rotation, np.float64)
