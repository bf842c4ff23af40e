# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Textured flat pieces: everything of the street that stands on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Pose = tuple[float, float, float]
"""x and y in metres and yaw in radians."""


class Texture:
    """A premultiplied RGBA picture with area-averaged copies, halved per axis.

    Args:
        rgba: (h, w, 4) uint8, colour already multiplied by alpha.
        filled: the piece counts as solid for labels and depth although one can see through
            it (railings: their gaps are labelled fence, as people label them).
    """

    def __init__(self, rgba: NDArray[np.uint8], filled: bool = False) -> None:
        self.filled = filled
        self.height, self.width = rgba.shape[:2]
        self._levels: dict[tuple[int, int], NDArray[np.uint8]] = {(0, 0): rgba}

    def level(self, halvings_x: int, halvings_y: int) -> NDArray[np.uint8]:
        """Returns the picture halved that many times along x and along y, never below 1 px."""
        key = (halvings_x, halvings_y)
        if key not in self._levels:
            size = (max(1, self.width >> halvings_x), max(1, self.height >> halvings_y))
            small = cv2.resize(self._levels[0, 0], size, interpolation=cv2.INTER_AREA)
            self._levels[key] = small.astype(np.uint8)
        return self._levels[key]

    @cached_property
    def shadow(self) -> Texture:
        """The half-dark shadow that the picture throws."""
        rgba = np.zeros_like(self.level(1, 1))
        rgba[..., 3] = self.level(1, 1)[..., 3] // 2
        return Texture(rgba)


@dataclass(frozen=True)
class Piece:
    """A textured parallelogram in a world of metres (x, y on the ground, z up).

    Convention: origin is the texture's top left corner, across its top edge (left to right)
    and along its left edge (top to bottom), as seen from the front.

    Attributes:
        label: class id; ignored for a decal.
        gain: RGB factor of the light on it.
        two_sided: also drawn when seen from behind.
        decal: lies on the ground and changes its colour only (shadows, manholes).
    """

    origin: tuple[float, float, float]
    across: tuple[float, float, float]
    along: tuple[float, float, float]
    texture: Texture
    label: int
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    two_sided: bool = False
    decal: bool = False


@dataclass(frozen=True)
class Pieces:
    """Many pieces as arrays.

    Attributes:
        origin, across, along: (n, 3) float64 metres.
        gain: (n, 3) float64.
        label: (n,) int64 class ids.
        uid: (n,) int64 numbers of the surfaces, the same in every frame.
        two_sided, decal: (n,) bool.
        pose, previous_pose: (n, 3) float64 (x, y, yaw) of the rigid body the piece belongs
            to, now and one frame earlier; equal for whatever stands still.
        texture: n textures.
    """

    origin: NDArray[np.float64]
    across: NDArray[np.float64]
    along: NDArray[np.float64]
    gain: NDArray[np.float64]
    label: NDArray[np.int64]
    uid: NDArray[np.int64]
    two_sided: NDArray[np.bool_]
    decal: NDArray[np.bool_]
    pose: NDArray[np.float64]
    previous_pose: NDArray[np.float64]
    texture: tuple[Texture, ...]


def stack(pieces: Sequence[Piece], first_uid: int = 0) -> Pieces:
    """Stacks pieces that stand still, numbering their surfaces from first_uid."""
    n = len(pieces)
    return Pieces(
        origin=np.array([p.origin for p in pieces], np.float64).reshape(n, 3),
        across=np.array([p.across for p in pieces], np.float64).reshape(n, 3),
        along=np.array([p.along for p in pieces], np.float64).reshape(n, 3),
        gain=np.array([p.gain for p in pieces], np.float64).reshape(n, 3),
        label=np.array([p.label for p in pieces], np.int64),
        uid=first_uid + np.arange(n, dtype=np.int64),
        two_sided=np.array([p.two_sided for p in pieces], np.bool_),
        decal=np.array([p.decal for p in pieces], np.bool_),
        pose=np.zeros((n, 3)),
        previous_pose=np.zeros((n, 3)),
        texture=tuple(p.texture for p in pieces),
    )


def join(groups: Sequence[Pieces]) -> Pieces:
    """Concatenates groups of pieces."""
    return Pieces(
        origin=np.concatenate([g.origin for g in groups]),
        across=np.concatenate([g.across for g in groups]),
        along=np.concatenate([g.along for g in groups]),
        gain=np.concatenate([g.gain for g in groups]),
        label=np.concatenate([g.label for g in groups]),
        uid=np.concatenate([g.uid for g in groups]),
        two_sided=np.concatenate([g.two_sided for g in groups]),
        decal=np.concatenate([g.decal for g in groups]),
        pose=np.concatenate([g.pose for g in groups]),
        previous_pose=np.concatenate([g.previous_pose for g in groups]),
        texture=tuple(t for g in groups for t in g.texture),
    )


def place(body: Pieces, first_uid: int, pose: Pose, previous_pose: Pose) -> Pieces:
    """Puts a rigid body, given in its own axes (x forward, y left), into the world.

    The light on the pieces stays what it was in the body's axes.

    Args:
        body: the pieces, numbered from 0.
        first_uid: number of the body's first surface.
        pose: pose of the body now.
        previous_pose: pose of the body one frame earlier.
    """
    x, y, yaw = pose
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    return replace(
        body,
        origin=body.origin @ turn + np.array([x, y, 0.0]),
        across=body.across @ turn,
        along=body.along @ turn,
        uid=body.uid + first_uid,
        pose=body.pose + np.array(pose),
        previous_pose=body.previous_pose + np.array(previous_pose),
    )
