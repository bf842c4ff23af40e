# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A driving camera: its motion per frame, and the flow that results at a known depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_NEAREST = 0.25
"""Smallest ratio of a point's depth in the previous frame to its depth in the current frame."""


@dataclass(frozen=True)
class MotionRanges:
    """Ranges from which the motion between two frames is drawn.

    The defaults are those of a car filmed at 7.5 to 30 frames per second.

    Attributes:
        forward_m: smallest and largest way per frame along the view, metres.
        backward: share of clips that drive in reverse.
        standing: share of clips in which the camera stands.
        sideways_m: largest way per frame across, metres.
        yaw_rad: standard deviation of the turn to the side per frame, radians.
        pitch_rad: standard deviation of the turn up and down per frame, radians.
        roll_rad: standard deviation of the turn about the view per frame, radians.
        change: relative change of motion and turns from frame to frame.
        cutouts: largest number of things moving by themselves.
        gain: standard deviation of the change of brightness from frame to frame.
        noise: largest standard deviation of the image noise, grey levels.
    """

    forward_m: tuple[float, float] = (0.02, 0.9)
    backward: float = 0.1
    standing: float = 0.08
    sideways_m: float = 0.05
    yaw_rad: float = 0.008
    pitch_rad: float = 0.003
    roll_rad: float = 0.003
    change: float = 0.3
    cutouts: int = 3
    gain: float = 0.02
    noise: float = 3.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.forward_m[0] <= self.forward_m[1]:
            raise ValueError(f"expected 0 <= smallest <= largest way, got {self.forward_m}")
        if not 0 <= self.backward + self.standing <= 1:
            raise ValueError(
                "expected shares of reversing and standing that sum to at most 1, got "
                f"{self.backward} and {self.standing}"
            )
        for name in ("sideways_m", "yaw_rad", "pitch_rad", "roll_rad", "change", "gain", "noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.cutouts < 0:
            raise ValueError(f"cutouts: expected at least 0, got {self.cutouts}")


@dataclass(frozen=True)
class CameraStep:
    """Motion of the camera between two frames, in the axes of the previous one.

    Attributes:
        way_m: (x right, y down, z forward), metres.
        turn_rad: (pitch, yaw, roll), radians, small.
    """

    way_m: tuple[float, float, float]
    turn_rad: tuple[float, float, float]


def draw_steps(
    count: int, ranges: MotionRanges, rng: np.random.Generator
) -> tuple[CameraStep, ...]:
    """Draw the motion between consecutive frames: a steady drive with changes of its rates.

    Args:
        count: number of steps.
        ranges: ranges to draw from.
        rng: source of the randomness.

    Returns:
        One step per pair of consecutive frames.
    """
    low, high = ranges.forward_m
    forward = rng.uniform(low, high)
    kind = rng.random()
    if kind < ranges.standing:
        forward = 0.0
    elif kind < ranges.standing + ranges.backward:
        forward = -0.5 * forward
    sideways, heave = rng.uniform(-1, 1, 2) * (ranges.sideways_m, 0.3 * ranges.sideways_m)
    spread = np.array([ranges.pitch_rad, ranges.yaw_rad, ranges.roll_rad])
    turn = rng.normal(0, spread)
    acceleration = rng.normal(0, ranges.change / 3)
    steps = []
    for index in range(count):
        pace = 1 + acceleration * (index - count / 2) + rng.normal(0, ranges.change / 5)
        # Bumps turn the camera more abruptly than the steering does.
        shaken = turn * (1 + rng.normal(0, ranges.change)) + rng.normal(0, spread * ranges.change)
        steps.append(
            CameraStep(
                (sideways * pace, heave * rng.normal(0, 1), forward * max(0.0, pace)),
                (float(shaken[0]), float(shaken[1]), float(shaken[2])),
            )
        )
    return tuple(steps)


def step_flow(
    previous_inverse_depth: NDArray[np.float32],
    step: CameraStep,
    focal_px: float,
    centre: tuple[float, float],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the flow of a camera step and the inverse depth of the current frame.

    Args:
        previous_inverse_depth: (h, w) float32 inverse depth in the previous frame, 1 / m.
        step: motion of the camera from the previous to the current frame.
        focal_px: focal length, pixels of this grid.
        centre: (x, y) where the optical axis meets this grid, pixels.

    Returns:
        Flow (h, w, 2) and inverse depth (h, w) of the current frame, both float32.

    Convention: backward flow, current(x) = previous(x + flow(x)), (dx, dy) in pixels of this
        grid. Driving forward the flow points towards the focus of expansion.
    """
    height, width = previous_inverse_depth.shape
    rays_x = np.broadcast_to(
        (np.arange(width, dtype=np.float32) - centre[0]) / focal_px, (height, width)
    )
    rays_y = np.broadcast_to(
        ((np.arange(height, dtype=np.float32) - centre[1]) / focal_px)[:, None], (height, width)
    )
    pitch, yaw, roll = step.turn_rad
    right, down, forward = step.way_m
    # Rays of the current camera in the axes of the previous one (small rotations).
    turned_x = rays_x - roll * rays_y + yaw
    turned_y = rays_y + roll * rays_x - pitch
    turned_z = 1 - yaw * rays_x + pitch * rays_y
    depth = previous_inverse_depth
    columns, rows, z = rays_x, rays_y, turned_z
    # Depth and flow of the current frame need each other; a few rounds settle both.
    for _ in range(3):
        z = np.maximum(turned_z + depth * forward, _NEAREST)
        columns = (turned_x + depth * right) / z * focal_px + centre[0]
        rows = (turned_y + depth * down) / z * focal_px + centre[1]
        fetched = cv2.remap(
            previous_inverse_depth,
            columns.astype(np.float32),
            rows.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        depth = (fetched * z).astype(np.float32)
    flow = np.stack(
        (
            columns - (rays_x * focal_px + centre[0]),
            rows - (rays_y * focal_px + centre[1]),
        ),
        axis=-1,
    )
    return flow.astype(np.float32), depth
