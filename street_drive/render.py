# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Draws pieces into the picture, far ones first, each pixel tested against the depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.buffers import BASE_LABELS, Buffers
from street_drive.camera import Camera
from street_drive.look import Look
from street_drive.surface import Pieces

_NEAR_M = 0.3
_SMALLEST_PX2 = 3.0
_SMALLEST_DECAL_PX2 = 40.0
_KEEP = np.array([[0, 0, 0, -1, 255]] * 3, np.float32)
"""Takes premultiplied RGBA to how much of the background stays, in 255ths."""


@dataclass(frozen=True)
class _View:
    """The pieces that are in sight, far ones first.

    Attributes:
        index: (n,) numbers of the pieces.
        to_image: (n, 3, 3) from (share of across, share of along, 1) to homogeneous pixels.
        to_box: (n, 3, 3) from pixels of the halved picture to pixels of the box.
        plane: (n, 3) inverse depth at pixel (u, v) is plane @ (u, v, 1).
        box: (n, 4) int64 u0, v0, u1, v1, the last two exclusive.
        halvings: (n, 2) int64 levels of the picture along x and y.
        distance: (n,) metres along the view to the middle.
    """

    index: NDArray[np.int64]
    to_image: NDArray[np.float64]
    to_box: NDArray[np.float64]
    plane: NDArray[np.float64]
    box: NDArray[np.int64]
    halvings: NDArray[np.int64]
    distance: NDArray[np.float64]


def draw(buffers: Buffers, pieces: Pieces, camera: Camera, look: Look) -> None:
    """Draws pieces over what the buffers show; decals first, they lie on the ground.

    Convention: a pixel shows a piece where the piece's alpha at the pixel's centre is at least
    one half; its colour is blended by alpha.
    """
    view = _in_sight(pieces, camera)
    mixes = _mixes(pieces, view, look)
    u, v = np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64)
    decals = pieces.decal[view.index]
    boxes, halvings = view.box.tolist(), view.halvings.tolist()
    for k in (*np.flatnonzero(decals).tolist(), *np.flatnonzero(~decals).tolist()):
        piece = int(view.index[k])
        u0, v0, u1, v1 = boxes[k]
        image = buffers.image[v0:v1, u0:u1]
        picture = pieces.texture[piece].level(*halvings[k])
        warped = cv2.warpPerspective(
            picture, view.to_box[k], (u1 - u0, v1 - v0), flags=cv2.INTER_LINEAR
        )
        blended = cv2.multiply(image, cv2.transform(warped, _KEEP), scale=1 / 255.0)
        blended = cv2.add(blended, cv2.transform(warped, mixes[k]))
        a, b, c = view.plane[k]
        inverse = ((b * v[v0:v1] + c)[:, None] + a * u[u0:u1]).astype(np.float32)
        if decals[k]:
            cv2.copyTo(blended, (inverse > 0).view(np.uint8), image)
            continue
        depth = buffers.inverse_depth[v0:v1, u0:u1]
        shown = (inverse > depth) & (inverse < 1 / _NEAR_M)
        cv2.copyTo(blended, shown.view(np.uint8), image)
        if pieces.texture[piece].filled:
            shown &= _inside(view.to_image[k], boxes[k])
        else:
            shown &= warped[..., 3] > 127
        np.copyto(depth, inverse, where=shown)
        surface = np.int32(len(BASE_LABELS) + piece)
        np.copyto(buffers.surface[v0:v1, u0:u1], surface, where=shown)


def _mixes(pieces: Pieces, view: _View, look: Look) -> NDArray[np.float32]:
    """Returns matrices (n, 3, 4) from premultiplied RGBA to the colour that light and air add."""
    air = 1.0 - np.exp(-view.distance * look.haze_per_m)
    mixes = np.zeros((len(air), 3, 4), np.float32)
    for channel in range(3):
        mixes[:, channel, channel] = pieces.gain[view.index, channel] * (1.0 - air)
        mixes[:, channel, 3] = air * min(look.sky_low[channel], 255.0) / 255.0
    return mixes


def _inside(to_image: NDArray[np.float64], box: list[int]) -> NDArray[np.bool_]:
    """Returns which pixels of a box see the parallelogram, holes of its picture included."""
    u, v = np.arange(box[0], box[2])[None, :], np.arange(box[1], box[3])[:, None]
    h = np.linalg.inv(to_image)
    w = h[2, 0] * u + h[2, 1] * v + h[2, 2]
    across = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / w
    along = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / w
    return np.asarray((across >= 0) & (across <= 1) & (along >= 0) & (along <= 1), np.bool_)


def _in_sight(pieces: Pieces, camera: Camera) -> _View:
    """Projects all pieces and keeps those that can be seen."""
    turn = camera.rotation
    origin = (pieces.origin - camera.position) @ turn.T
    across, along = pieces.across @ turn.T, pieces.along @ turn.T
    corners = np.stack([origin, origin + across, origin + across + along, origin + along], axis=1)
    normal = np.cross(across, along)
    facing = np.einsum("ij,ij->i", normal, origin)
    ahead = corners[..., 2].max(axis=1) > _NEAR_M
    seen = np.flatnonzero(ahead & (np.abs(facing) > 1e-9) & (pieces.two_sided | (facing > 0)))
    origin, across, along, corners = origin[seen], across[seen], along[seen], corners[seen]
    smallest = np.where(pieces.decal[seen], _SMALLEST_DECAL_PX2, _SMALLEST_PX2)
    box, kept = _boxes(corners, camera, smallest)
    seen, box = seen[kept], box[kept]
    origin, across, along, corners = origin[kept], across[kept], along[kept], corners[kept]

    f = camera.focal_px
    cu, cv_ = camera.centre_px
    lens = np.array([[f, 0, cu], [0, f, cv_], [0, 0, 1.0]])
    to_image = lens @ np.stack([across, along, origin], axis=-1)
    ray = normal[seen] / facing[seen][:, None]
    plane = np.stack(
        [ray[:, 0] / f, ray[:, 1] / f, ray[:, 2] - (ray[:, 0] * cu + ray[:, 1] * cv_) / f], axis=-1
    )
    middle = origin + 0.5 * (across + along)
    sizes = np.array(
        [(pieces.texture[k].width, pieces.texture[k].height) for k in seen], np.int64
    ).reshape(-1, 2)
    halvings = _halvings(sizes, across, along, middle, corners, f)
    order = np.argsort(-corners[..., 2].max(axis=1), kind="stable")
    return _View(
        index=seen[order],
        to_image=to_image[order],
        to_box=_to_box(to_image, np.maximum(1, sizes >> halvings), box)[order],
        plane=plane[order],
        box=box[order],
        halvings=halvings[order],
        distance=np.maximum(middle[order, 2], 0.0),
    )


def _to_box(
    to_image: NDArray[np.float64], size: NDArray[np.int64], box: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns matrices (n, 3, 3) from pixels of pictures of a size (n, 2) to pixels of boxes.

    Convention: a picture's edge lies half a pixel outside the centre of its first pixels.
    """
    result = to_image.copy()
    result[:, 0] -= box[:, 0, None] * to_image[:, 2]
    result[:, 1] -= box[:, 1, None] * to_image[:, 2]
    for axis in (0, 1):
        result[:, :, axis] /= size[:, axis, None]
        result[:, :, 2] += 0.5 * result[:, :, axis]
    return result


def _boxes(
    corners: NDArray[np.float64], camera: Camera, smallest_px2: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the boxes (n, 4) of pixels around the pieces, and which of them are large enough.

    The edges of a piece that reaches behind the camera are cut at the near plane first.
    """
    following = np.roll(corners, -1, axis=1)
    z0, z1 = corners[..., 2:], following[..., 2:]
    crossing = (z0 - _NEAR_M) * (z1 - _NEAR_M) < 0
    share = np.where(crossing, (_NEAR_M - z0) / np.where(crossing, z1 - z0, 1.0), 0.0)
    points = np.concatenate([corners, corners + share * (following - corners)], axis=1)
    visible = points[..., 2] >= _NEAR_M - 1e-6
    z = np.where(visible, points[..., 2], 1.0)
    cu, cv_ = camera.centre_px
    u = camera.focal_px * points[..., 0] / z + cu
    v = camera.focal_px * points[..., 1] / z + cv_
    low_u, high_u = np.where(visible, u, np.inf).min(1), np.where(visible, u, -np.inf).max(1)
    low_v, high_v = np.where(visible, v, np.inf).min(1), np.where(visible, v, -np.inf).max(1)
    large = (high_u - low_u) * (high_v - low_v) > smallest_px2
    u0 = np.clip(np.floor(low_u - 1), 0, camera.width)
    u1 = np.clip(np.ceil(high_u + 2), 0, camera.width)
    v0 = np.clip(np.floor(low_v - 1), 0, camera.height)
    v1 = np.clip(np.ceil(high_v + 2), 0, camera.height)
    box = np.stack([u0, v0, u1, v1], axis=1).astype(np.int64)
    return box, np.flatnonzero((u1 > u0) & (v1 > v0) & large)


def _halvings(
    sizes: NDArray[np.int64], across: NDArray[np.float64], along: NDArray[np.float64],
    middle: NDArray[np.float64], corners: NDArray[np.float64], focal_px: float,
) -> NDArray[np.int64]:  # fmt: skip
    """Returns how often to halve each picture so that its pixels are about the image's."""
    z = np.maximum(middle[:, 2:], _NEAR_M)
    levels = []
    for axis, edge in enumerate((across, along)):
        moved = edge[:, :2] - middle[:, :2] * (edge[:, 2:] / z)
        length = focal_px * np.linalg.norm(moved / z, axis=1)
        levels.append(np.log2(sizes[:, axis] / np.maximum(length, 0.5)) - 0.1)
    rounded = np.clip(np.rint(np.stack(levels, axis=1)), 0, 9).astype(np.int64)
    rounded[corners[..., 2].min(axis=1) < _NEAR_M] = 0
    return np.asarray(rounded, np.int64)
