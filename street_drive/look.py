# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weather, light and camera of one drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from street_drive.path import rng_of


@dataclass(frozen=True)
class Look:
    """Weather, light and camera of one drive.

    Attributes:
        sunny: the sun casts shadows.
        sun_azimuth: radians from the world's x axis (about where the drive heads).
        sun_slope: tangent of the sun's elevation.
        ambient, sun: (3,) float64 RGB factors of the light from everywhere and from the sun.
        sky_low, sky_high, cloud: (3,) float64 RGB colours, 0 to 255.
        cloud_cover: threshold of the cloud noise, low for a closed ceiling.
        haze_per_m: extinction of the air.
        noise: deviation of the sensor noise, in 255ths.
        blur_px: deviation of the lens blur at 480 px width.
        focal_share: focal length as a share of the width.
        horizon_share: row of the horizon as a share of the height.
        camera_height_m: height of the camera above the road.
        traffic_side: -1 where one drives on the left, 1 on the right.
        gamma: exponent of the camera's tone curve.
        contrast: bend of the tone curve into an S, 0 to 1.
        saturation: factor of the colours' distance from grey.
        crowd: factor of the number of people.
        traffic: factor of the number of cars.
    """

    sunny: bool
    sun_azimuth: float
    sun_slope: float
    ambient: NDArray[np.float64]
    sun: NDArray[np.float64]
    sky_low: NDArray[np.float64]
    sky_high: NDArray[np.float64]
    cloud: NDArray[np.float64]
    cloud_cover: float
    haze_per_m: float
    noise: float
    blur_px: float
    focal_share: float
    horizon_share: float
    camera_height_m: float
    traffic_side: int
    gamma: float
    contrast: float
    saturation: float
    crowd: float
    traffic: float

    def light(self, normal: NDArray[np.float64]) -> tuple[float, float, float]:
        """Returns the RGB factor of the light on a surface with this outward unit normal."""
        up = np.array([np.cos(self.sun_azimuth), np.sin(self.sun_azimuth), self.sun_slope])
        facing = max(0.0, float(normal @ up) / float(np.linalg.norm(up)))
        r, g, b = self.ambient + facing * self.sun
        return float(r), float(g), float(b)

    @property
    def light_on_cards(self) -> tuple[float, float, float]:
        """The light on upright things of no particular side: trees, people, poles."""
        r, g, b = self.ambient + 0.45 * self.sun
        return float(r), float(g), float(b)


def make_look(seed: int) -> Look:
    """Draws the look of a drive from its seed."""
    rng = rng_of(seed, 2, 0)
    sunny = bool(rng.random() < 0.5)
    exposure = float(np.exp(np.clip(rng.normal(-0.1, 0.3), -0.5, 0.4)))
    warm = rng.uniform(-0.06, 0.06)
    tint = np.array([1.0 + warm, 1.0, 1.0 - warm])
    if sunny:
        ambient = exposure * 0.55 * np.array([0.9, 1.0, 1.12])
        sun = exposure * rng.uniform(0.7, 1.1) * np.array([1.08, 1.0, 0.86])
        sky_high = np.array([128.0, 165.0, 222.0]) * rng.uniform(0.75, 1.15)
        cloud_cover = rng.uniform(0.2, 2.2)
    else:
        ambient = exposure * 0.86 * np.array([0.97, 1.0, 1.03])
        sun = exposure * rng.uniform(0.0, 0.12) * np.ones(3)
        sky_high = np.full(3, 222.0) * rng.uniform(0.8, 1.1) * np.array([0.96, 1.0, 1.04])
        cloud_cover = rng.uniform(-1.5, 0.3)
    # A camera that exposes for the street loses the sky: it is near white more often than not.
    bright = rng.uniform(0.92, 1.5) * exposure**0.15
    return Look(
        sunny=sunny,
        sun_azimuth=rng.uniform(-np.pi, np.pi),
        sun_slope=rng.uniform(0.3, 1.2),
        ambient=ambient * tint,
        sun=sun * tint,
        sky_low=np.array([228.0, 235.0, 242.0]) * bright,
        sky_high=sky_high * bright,
        cloud=np.full(3, rng.uniform(190.0, 250.0)) * bright,
        cloud_cover=cloud_cover,
        haze_per_m=float(np.exp(rng.uniform(np.log(0.0006), np.log(0.005)))),
        noise=rng.uniform(0.5, 4.0),
        blur_px=rng.uniform(0.3, 0.65),
        focal_share=rng.uniform(0.85, 1.1),
        horizon_share=rng.uniform(0.43, 0.53),
        camera_height_m=rng.uniform(1.2, 1.55),
        traffic_side=-1 if rng.random() < 0.75 else 1,
        gamma=float(np.exp(rng.normal(0.06, 0.18))),
        contrast=rng.uniform(0.0, 0.6),
        saturation=rng.uniform(0.4, 0.95),
        crowd=rng.uniform(0.6, 1.8),
        traffic=rng.uniform(0.5, 1.4),
    )
