# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The line the street follows: straights joined by bends, endless and seekable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHUNK_M = 40.0
"""Length of the pieces in which the street is made."""

STEP_M = 0.25
"""Distance of the nodes at which the street's line and its cross section are kept."""

CHUNK_NODES = round(CHUNK_M / STEP_M)

_BEND_EVERY_M = 120.0


def rng_of(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Returns the random generator that belongs to one thing of one drive, by its number."""
    return np.random.default_rng([seed, purpose, 2 * number if number >= 0 else -2 * number - 1])


def heading(seed: int, bend_rad: float, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the street's direction at distance s along it.

    Each 120 m holds one bend, spread over its middle 70 m.

    Args:
        seed: the drive's seed.
        bend_rad: largest departure of a straight from the drive's mean direction.
        s: (n,) float64 metres.

    Returns:
        (n,) float64 radians.
    """
    segment = np.floor(s / _BEND_EVERY_M).astype(np.int64)
    result = np.empty_like(s)
    for number in np.unique(segment):
        inside = segment == number
        before, after = (
            bend_rad * rng_of(seed, 1, int(number) + k).uniform(-1.0, 1.0) for k in (0, 1)
        )
        x = np.clip((s[inside] / _BEND_EVERY_M - number - 0.2) / 0.6, 0.0, 1.0)
        result[inside] = before + (after - before) * x * x * (3.0 - 2.0 * x)
    return result


def chunk_line(
    seed: int, bend_rad: float, number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns one chunk's nodes, the first and last shared with its neighbours.

    Returns:
        positions (CHUNK_NODES + 1, 2) in metres from the chunk's first node, and headings
        (CHUNK_NODES + 1,) in radians.
    """
    s = number * CHUNK_M + np.arange(2 * CHUNK_NODES + 1, dtype=np.float64) * (STEP_M / 2)
    theta = heading(seed, bend_rad, s)
    middle = theta[1::2]
    steps = STEP_M * np.stack([np.cos(middle), np.sin(middle)], axis=1)
    positions = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    return positions, theta[::2]
