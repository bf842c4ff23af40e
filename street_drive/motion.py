# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Exact backward flow between two rendered frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from street_drive.camera import Camera


def _lens(camera: Camera) -> NDArray[np.float64]:
    cu, cv = camera.centre_px
    return np.array([[camera.focal_px, 0, cu], [0, camera.focal_px, cv], [0, 0, 1.0]])


def backward_flow(
    inverse_depth: NDArray[np.float32],
    body: NDArray[np.int64],
    poses: NDArray[np.float64],
    previous_poses: NDArray[np.float64],
    current: Camera,
    previous: Camera,
) -> NDArray[np.float32]:
    """Returns where the surface point of each pixel was in the previous picture.

    Convention: the point seen at pixel x now was at pixel x + flow(x); (dx, dy) in pixels of
    this picture, pixel centres at whole numbers; both cameras are given in the same axes.

    Args:
        inverse_depth: (H, W) float32 inverse depth of the current picture, 1 / metres; 0 at
            infinity.
        body: (H, W) number of the rigid body that a pixel shows.
        poses: (n, 3) x, y, yaw of the bodies now; the first stands still.
        previous_poses: (n, 3) x, y, yaw of the bodies one frame before.
        current: the camera now.
        previous: the camera one frame before.

    Returns:
        (H, W, 2) float32; nan where the point was behind the previous camera.
    """
    yaw = previous_poses[:, 2] - poses[:, 2]
    c, s, zero, one = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw), np.ones_like(yaw)
    turn = np.stack([c, -s, zero, s, c, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    lift = np.zeros((len(yaw), 3))
    lift[:, :2] = poses[:, :2]
    lowered = np.zeros_like(lift)
    lowered[:, :2] = previous_poses[:, :2]
    view = _lens(previous) @ previous.rotation
    # In homogeneous pixels: previous = far @ (u, v, 1) + inverse_depth * near.
    far = view @ turn @ current.rotation.T @ np.linalg.inv(_lens(current))
    shift = np.einsum("nij,nj->ni", turn, current.position - lift) + lowered - previous.position
    near = shift @ view.T
    height, width = inverse_depth.shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    whole = np.concatenate([far, near[..., None]], axis=-1).astype(np.float32)
    flow = np.empty((height, width, 2), np.float32)
    before = np.empty((3, height, width), np.float32)
    for row in range(3):
        m = whole[0, row]
        before[row] = m[0] * u + m[1] * v + (m[2] + m[3] * inverse_depth)
    moving = np.flatnonzero(body)
    if len(moving):
        mine = whole[body.ravel()[moving]]
        point = np.stack(
            [u.ravel()[moving], v.ravel()[moving], np.ones(len(moving), np.float32),
             inverse_depth.ravel()[moving]], axis=-1,
        )  # fmt: skip
        before.reshape(3, -1)[:, moving] = np.einsum("nij,nj->in", mine, point)
    depth = np.where(before[2] > 0.02, before[2], np.nan)
    flow[..., 0] = before[0] / depth - u
    flow[..., 1] = before[1] / depth - v
    return flow


def same_surface(
    flow: NDArray[np.float32], uid: NDArray[np.int64], previous_uid: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Returns where the previous picture shows, at the nearest pixel, the same flat surface.

    Args:
        flow: (H, W, 2) backward flow.
        uid: (H, W) numbers of the surfaces that this picture shows.
        previous_uid: (H, W) numbers of the surfaces that the previous picture shows.

    Returns:
        (H, W) bool; False outside the previous picture.
    """
    height, width = uid.shape
    v, u = np.mgrid[0:height, 0:width]
    x = np.rint(np.nan_to_num(flow[..., 0], nan=-1e6) + u)
    y = np.rint(np.nan_to_num(flow[..., 1], nan=-1e6) + v)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column = np.clip(x, 0, width - 1).astype(np.int64)
    row = np.clip(y, 0, height - 1).astype(np.int64)
    return np.asarray(inside & (previous_uid[row, column] == uid), np.bool_)
