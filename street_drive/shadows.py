# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Shadows that upright pictures throw on the ground."""

from __future__ import annotations

import numpy as np

from street_drive.surface import Piece, Texture

_LONGEST = 2.0
"""Longest shadow, in heights of the thing that throws it."""


def shadow_piece(
    foot: tuple[float, float],
    size: tuple[float, float],
    texture: Texture,
    sun_azimuth: float,
    sun_slope: float,
) -> Piece:
    """Lays the shadow of an upright picture on the ground, as if the picture faced the sun.

    Args:
        foot: middle of the lower edge of the picture.
        size: width and height in metres.
        texture: the picture.
        sun_azimuth: direction of the sun in radians, in the axes of foot.
        sun_slope: tangent of the sun's elevation.
    """
    away = (-float(np.cos(sun_azimuth)), -float(np.sin(sun_azimuth)))
    width, reach = size[0], size[1] * min(1.0 / sun_slope, _LONGEST)
    across = (-away[1] * width, away[0] * width, 0.0)
    origin = (
        foot[0] + reach * away[0] - across[0] / 2,
        foot[1] + reach * away[1] - across[1] / 2,
        0.0,
    )
    along = (-reach * away[0], -reach * away[1], 0.0)
    return Piece(origin, across, along, texture.shadow, 0, two_sided=True, decal=True)
