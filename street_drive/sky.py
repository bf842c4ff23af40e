# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Sky, clouds and the silhouette of the far town."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.buffers import FAR_BUILDING, FAR_TREE, Buffers
from street_drive.camera import Camera
from street_drive.look import Look
from street_drive.path import rng_of
from street_drive.textures import noise, noise_tile

_AZIMUTHS = 2048
_TILE_PX = 512
_PX_PER_SLOPE = 150.0
_FAR_M = 250.0


class Sky:
    """Everything at infinity: it turns with the camera and never comes nearer.

    Args:
        seed: the drive's seed.
        look: the drive's light.
    """

    def __init__(self, seed: int, look: Look) -> None:
        self._look = look
        rng = rng_of(seed, 60, 0)
        field = noise(rng, _TILE_PX, 128) + 0.6 * noise(rng, _TILE_PX, 64)
        field += 0.4 * noise(rng, _TILE_PX, 32) + 0.22 * noise(rng, _TILE_PX, 16)
        self._clouds = (255 * np.clip((field - look.cloud_cover) / 1.6, 0, 1)).astype(np.uint8)
        waves = noise(rng, _AZIMUTHS, 16)[0] + 0.5 * noise(rng, _AZIMUTHS, 4)[0]
        trees = 0.022 + 0.011 * waves
        steps = np.repeat(rng.uniform(-0.02, 0.05, _AZIMUTHS // 16), 16)
        self._heights = np.stack([steps, trees]).astype(np.float32)
        self._grain = noise_tile(8, 3)
        air = 1.0 - np.exp(-_FAR_M * look.haze_per_m)
        ground = look.ambient + 0.4 * look.sun
        colours = np.array([[128.0, 120.0, 112.0], [74.0, 80.0, 60.0]]) * ground
        self._colours = (1 - air) * colours + air * np.minimum(look.sky_low, 255)

    def paint(self, buffers: Buffers, camera: Camera, ground_row: int) -> None:
        """Paints all rows above ground_row.

        Convention: clouds hang on a level ceiling at infinite height, so a cloud's place
        depends on the direction of a pixel only.
        """
        rows = min(ground_row, camera.height)
        if rows <= 0:
            return
        v = np.arange(rows, dtype=np.float64)
        rise = np.maximum(camera.directions(np.full(rows, camera.centre_px[0]), v)[:, 2], 0.0)
        slope = rise / np.sqrt(1.0 + rise**2)
        mix = np.clip(slope / 0.45, 0, 1)[:, None] ** 0.7
        base = (1 - mix) * self._look.sky_low + mix * self._look.sky_high
        fade = np.clip((slope - 0.02) / 0.12, 0, 1)
        cover = self._ceiling(camera, rows).astype(np.float32) * (fade / 255.0)[:, None]
        step = (self._look.cloud - base)[:, None, :].astype(np.float32)
        colour = base[:, None, :].astype(np.float32) + cover[..., None] * step
        buffers.image[:rows] = np.clip(colour, 0, 255)
        self._paint_far(buffers, camera, rows)

    def _ceiling(self, camera: Camera, rows: int) -> NDArray[np.uint8]:
        cu, cv_ = camera.centre_px
        f = camera.focal_px
        to_ray = np.array([[1 / f, 0, -cu / f], [0, 1 / f, -cv_ / f], [0, 0, 1]])
        k, o = _PX_PER_SLOPE, _TILE_PX / 2
        to_tile = np.array([[k, 0, o], [0, k, o], [0, 0, 1.0]])
        ceiling = cv2.warpPerspective(
            self._clouds,
            to_tile @ camera.rotation.T @ to_ray,
            (camera.width, rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )
        return np.asarray(ceiling, np.uint8)

    def _paint_far(self, buffers: Buffers, camera: Camera, rows: int) -> None:
        """Paints the silhouette of trees and houses along the horizon."""
        top = int(np.clip(camera.horizon_px - 0.12 * camera.focal_px, 0, rows))
        if top >= rows:
            return
        v, u = np.mgrid[top:rows, 0 : camera.width].astype(np.float64)
        rays = camera.directions(u, v)
        slope = rays[..., 2] / np.hypot(rays[..., 0], rays[..., 1])
        azimuth = np.arctan2(rays[..., 1], rays[..., 0]) * (_AZIMUTHS / (2 * np.pi))
        k = np.floor(azimuth).astype(np.int64)
        part = (azimuth - k).astype(np.float32)
        image, surface = buffers.image[top:rows], buffers.surface[top:rows]
        grain = self._grain[(slope * 2000).astype(np.int64) % 512, (k * 2) % 512]
        for row, surface_id in ((0, FAR_BUILDING), (1, FAR_TREE)):
            low, high = self._heights[row, k % _AZIMUTHS], self._heights[row, (k + 1) % _AZIMUTHS]
            edge = low if row == 0 else low + part * (high - low)
            inside = slope < edge
            surface[inside] = surface_id
            shade = 1.0 + 0.1 * grain[inside][:, None]
            image[inside] = np.clip(self._colours[row] * shade, 0, 255)
