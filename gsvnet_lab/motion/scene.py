# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A guess at the depth of a labelled street scene, good enough to move a camera through it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import ClassTable

_GROUND = frozenset({"road", "pavement", "sidewalk", "terrain"})
_STANDING = frozenset(
    {
        "pole",
        "sign",
        "traffic light",
        "traffic sign",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
        "bicyclist",
        "rider",
        "pedestrian",
        "person",
    }
)
_MOVABLE = _STANDING - {"pole", "sign", "traffic light", "traffic sign"}

_CAMERA_HEIGHT_M = 1.5
_WALL_DISTANCE_M = (3.0, 14.0)
_FARTHEST_M = (30.0, 120.0)
_RELIEF = 0.12
"""Standard deviation of the logarithm of a smooth factor on the depth: no wall is a plane."""
_SOFTNESS_PX = 2.0
"""Width of the steps in the depth, pixels of its grid."""


@dataclass(frozen=True)
class SceneRoles:
    """Roles of the classes in a scene: each field is a tuple of class ids.

    Attributes:
        sky: classes that are infinitely far.
        ground: classes that make up a plane below the camera.
        standing: classes of things on the ground, each at the depth of its lowest point.
        movable: classes of standing things that move by themselves.
    """

    sky: tuple[int, ...]
    ground: tuple[int, ...]
    standing: tuple[int, ...]
    movable: tuple[int, ...]

    @classmethod
    def of(cls, classes: ClassTable) -> SceneRoles:
        """Return the roles by the names of the classes; classes without a role are walls."""

        def ids(names: frozenset[str]) -> tuple[int, ...]:
            return tuple(index for index, name in enumerate(classes.names) if name in names)

        return cls(ids(frozenset({"sky"})), ids(_GROUND), ids(_STANDING), ids(_MOVABLE))


def horizon_row(labels: NDArray[np.uint8], roles: SceneRoles) -> float:
    """Return the row (pixels) where the ground would end, from its highest labelled rows."""
    height = int(labels.shape[0])
    ground_rows = np.isin(labels, roles.ground).sum(1)
    total = int(ground_rows.sum())
    if total < 0.01 * labels.size:
        return 0.45 * height
    top = int(np.searchsorted(np.cumsum(ground_rows), 0.01 * total))
    # The visible ground ends a little below the horizon.
    return min(max(top - 0.02 * height, 0.15 * height), 0.7 * height)


def inverse_depth(
    labels: NDArray[np.uint8],
    roles: SceneRoles,
    focal_px: float,
    horizon: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Guess the inverse depth of every pixel from its label.

    Sky is infinitely far, the ground is a plane 1.5 m below the camera, a standing thing is as far
    as the ground at its foot, and the rest are walls along the street on either side.

    Args:
        labels: (h, w) uint8 class ids.
        roles: roles of the classes in the scene.
        focal_px: focal length, pixels of this grid.
        horizon: row of the horizon, pixels of this grid.
        rng: source of the distances that labels do not tell.

    Returns:
        (h, w) float32, 1 / m.
    """
    height, width = labels.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None]
    farthest = 1 / rng.uniform(*_FARTHEST_M)
    ground = np.maximum((rows - horizon) / (focal_px * _CAMERA_HEIGHT_M), farthest)
    ground = np.broadcast_to(ground, labels.shape)
    left, right = rng.uniform(*_WALL_DISTANCE_M, 2)
    offset = columns - width / 2
    walls = np.abs(offset) / (focal_px * np.where(offset < 0, left, right))
    depth = np.maximum(np.broadcast_to(walls, labels.shape), farthest).astype(np.float32)
    is_ground = np.isin(labels, roles.ground)
    depth[is_ground] = ground[is_ground]
    standing = np.isin(labels, roles.standing).astype(np.uint8)
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(standing, connectivity=8)
    foot = boxes[:, cv2.CC_STAT_TOP] + boxes[:, cv2.CC_STAT_HEIGHT] - 1
    # A sign on the sky side of the horizon has no foot on the ground: a wall's depth, by chance.
    at_foot = ground[np.minimum(foot, height - 1), 0]
    aloft = 1 / rng.uniform(8.0, 40.0, count)
    of_part = np.where(foot > horizon + 0.03 * height, at_foot, aloft).astype(np.float32)
    depth = np.where(parts > 0, of_part[parts], depth)
    coarse = rng.normal(0, _RELIEF, (5, 6)).astype(np.float32)
    depth = depth * np.exp(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    depth[np.isin(labels, roles.sky)] = 0
    # Near things take a seam of their background along: a jump of the depth inside a thin pole
    # would tear it apart.
    depth = cv2.dilate(depth.astype(np.float32), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), _SOFTNESS_PX), np.float32)
