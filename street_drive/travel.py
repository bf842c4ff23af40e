# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How far the car has come: the speed profiles of a drive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Travel = Callable[[float], float]
"""Distance in metres at a time in seconds; never decreasing."""


def steady(speed_m_s: float = 8.0) -> Travel:
    """Returns travel at a speed that swings by a fifth around speed_m_s.

    Raises:
        ValueError: if speed_m_s is not above 0.
    """
    if not speed_m_s > 0:
        raise ValueError(f"expected speed_m_s > 0, got {speed_m_s}; to stand, use stop_and_go")
    pulse_s = 11.0

    def distance(time_s: float) -> float:
        swing = 0.2 * pulse_s / (2 * np.pi) * np.sin(2 * np.pi * time_s / pulse_s)
        return speed_m_s * (time_s + float(swing))

    return distance


def stop_and_go(speed_m_s: float = 8.0, drive_s: float = 12.0, stop_s: float = 4.0) -> Travel:
    """Returns travel that drives for drive_s, then stands for stop_s, and so on.

    The first third of each leg gains speed evenly, the last third loses it.

    Raises:
        ValueError: if speed_m_s or drive_s is not above 0, or stop_s is negative.
    """
    if not (speed_m_s > 0 and drive_s > 0 and stop_s >= 0):
        raise ValueError(
            "expected speed_m_s > 0, drive_s > 0 and stop_s >= 0, "
            f"got {speed_m_s}, {drive_s} and {stop_s}"
        )
    ramp_s = drive_s / 3
    leg_m = speed_m_s * (drive_s - ramp_s)

    def distance(time_s: float) -> float:
        legs, t = divmod(time_s, drive_s + stop_s)
        left_s = max(0.0, drive_s - t)
        if t < ramp_s:
            part = 0.5 * speed_m_s * t * t / ramp_s
        elif left_s > ramp_s:
            part = speed_m_s * (t - 0.5 * ramp_s)
        else:
            part = leg_m - 0.5 * speed_m_s * left_s * left_s / ramp_s
        return legs * leg_m + part

    return distance
