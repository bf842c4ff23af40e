# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The ground: asphalt with its markings, pavements and grass, found pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.buffers import GRASS, PAVEMENT, ROAD, Buffers
from street_drive.camera import Camera
from street_drive.look import Look
from street_drive.markings import Field, Place, draw_marks, planes
from street_drive.path import rng_of
from street_drive.section import EDGES, FLAGS, FRONTS
from street_drive.textures import noise, slab_shade
from street_drive.window import Window

FAR_M = 250.0
"""Beyond this the ground is lost in the silhouette of the far town."""

_EXACT_COLUMNS = 60
_STRIP_PX = 1 << 15
_TILE_PX = 512
_TILES_M = (5.0, 20.0)


class Ground:
    """The ground of one drive.

    Args:
        seed: the drive's seed.
        look: the drive's light.
    """

    def __init__(self, seed: int, look: Look) -> None:
        self._look = look
        rng = rng_of(seed, 70, 0)
        fine = noise(rng, _TILE_PX, 2) + 0.8 * noise(rng, _TILE_PX, 8)
        slabs = slab_shade(_TILE_PX, 8, rng) + 0.5 * noise(rng, _TILE_PX, 4)
        blades = noise(rng, _TILE_PX, 4) + 0.8 * noise(rng, _TILE_PX, 16)
        coarse = noise(rng, _TILE_PX, 64) + 0.7 * noise(rng, _TILE_PX, 16)
        patches = (noise(rng, _TILE_PX, 128) > 1.1).astype(np.float32)
        self._near = np.stack([fine, slabs, blades], axis=-1).astype(np.float32)
        self._wide = np.stack([coarse - 1.5 * patches, noise(rng, _TILE_PX, 32)], axis=-1).astype(
            np.float32
        )
        grey = rng.uniform(76, 128)
        self._colours = np.array(
            [
                np.array([1.0, 1.0, rng.uniform(0.97, 1.06)]) * grey,
                np.array([1.04, 1.0, rng.uniform(0.9, 0.98)]) * rng.uniform(84, 150),
                np.array([92.0, 110.0, 54.0]) * rng.uniform(0.7, 1.1),
                np.array([226.0, 226.0, 220.0]) * rng.uniform(0.75, 1.0),
                np.array([206.0, 170.0, 64.0]) * rng.uniform(0.8, 1.0),
            ]
        )
        self._marks = draw_marks(seed)
        self._worn = rng.uniform(0.55, 0.95)

    def paint(self, buffers: Buffers, camera: Camera, window: Window, travelled_m: float) -> int:
        """Paints the ground within FAR_M and returns the first row it covers."""
        v = np.arange(camera.height, dtype=np.float64)
        fall = -camera.directions(np.full(camera.height, camera.centre_px[0]), v)[:, 2]
        per_m = np.maximum(fall, 1e-9) / camera.position[2]
        first = int(np.argmax(per_m > 1.0 / FAR_M)) if per_m[-1] > 1.0 / FAR_M else camera.height
        if first >= camera.height:
            return camera.height
        # In strips of rows that stay in the processor's cache.
        strip = max(1, _STRIP_PX // camera.width)
        for top in range(first, camera.height, strip):
            rows = slice(top, min(top + strip, camera.height))
            self._paint_rows(buffers, camera, window, rows, 1.0 / per_m[rows], travelled_m)
        return first

    def _paint_rows(
        self, buffers: Buffers, camera: Camera, window: Window, rows: slice,
        depth: NDArray[np.float64], travelled_m: float,
    ) -> None:  # fmt: skip
        """Paints some rows, whose depths are given in metres."""
        place = self._places(camera, window, depth, rows.start, travelled_m)
        edges = planes(place.look_up(window.section[..., EDGES]))
        kerb, verge_end, pavement_end, garden = edges

        off = np.abs(place.d)
        surface = np.where(off < kerb, np.int32(ROAD), np.int32(GRASS))
        paved = (off >= verge_end) & ((off < pavement_end) | (garden < 0.5))
        surface[paved] = PAVEMENT
        buffers.surface[rows] = surface
        buffers.inverse_depth[rows] = 1.0 / depth[:, None]

        weights = self._materials(window, place, edges)
        air = 1.0 - np.exp(-depth * self._look.haze_per_m)
        up = self._look.ambient + self._look.sun * (
            self._look.sun_slope / np.hypot(1.0, self._look.sun_slope)
        )
        colour: Field = np.asarray(
            cv2.transform(weights, (self._colours * up).T.astype(np.float32)), np.float32
        )
        colour *= (self._light(window, place) * (1.0 - air)[:, None].astype(np.float32))[..., None]
        colour += (air[:, None] * np.minimum(self._look.sky_low, 255))[:, None].astype(np.float32)
        buffers.image[rows] = cv2.convertScaleAbs(colour)

    def _places(
        self, camera: Camera, window: Window, depth: NDArray[np.float64], first: int, s0: float
    ) -> Place:
        """Finds where the pixels from row first on lie.

        Both coordinates bend little along a row, where the depth is constant: some sixty
        columns are found exactly, those between by linear interpolation.
        """
        step = max(1, camera.width // _EXACT_COLUMNS)
        columns = camera.width // step + 3
        u = step * (np.arange(columns) - 1.0) + (step - 1) / 2
        v = first + np.arange(len(depth), dtype=np.float64)
        rays = camera.directions(*np.meshgrid(u, v))
        x = camera.position[0] + depth[:, None] * rays[..., 0]
        y = camera.position[1] + depth[:, None] * rays[..., 1]
        s, d = window.street_coordinates(x, y, s0 + np.broadcast_to(depth[:, None], x.shape))
        coarse = np.stack([s - window.first_m, d], axis=-1).astype(np.float32)
        size = (columns * step, len(v))
        full = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.float32)
        inside = full[:, step : step + camera.width]
        right = np.ascontiguousarray(inside[..., 1])
        per_px = depth[:, None] / camera.focal_px
        return Place(
            s=np.ascontiguousarray(inside[..., 0]),
            d=right,
            side=(right > 0).astype(np.float32),
            fine_s=(per_px * depth[:, None] / camera.position[2]).astype(np.float32),
            fine_d=per_px.astype(np.float32),
        )

    def _materials(self, window: Window, place: Place, edges: Sequence[Field]) -> Field:
        """Returns how much of each material a pixel shows, times its shade.

        Args:
            window: the stretch of street.
            place: the pixels.
            edges: columns section.EDGES, (h, W) each.

        Returns:
            (h, W, 5): asphalt, paving, grass, white and yellow paint.
        """
        kerb, verge_end, pavement_end, garden = edges
        off_road = place.beyond(kerb)
        road = 1.0 - off_road
        flags = planes(place.look_up(window.section[..., FLAGS]))
        white, yellow = self._marks.coverage(place, window.first_m, kerb, flags)
        grass = np.maximum(off_road - place.beyond(verge_end), place.beyond(pavement_end) * garden)
        paving = np.clip(off_road - grass, 0.0, 1.0)

        (fine, slab, blades), (coarse, worn) = (
            planes(cv2.remap(
                tile, place.s * np.float32(_TILE_PX / size), place.d * np.float32(_TILE_PX / size),
                cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP,
            ))
            for tile, size in ((self._near, _TILES_M[0]), (self._wide, _TILES_M[1]))
        )  # fmt: skip
        seen, seen_slabs, seen_wide = (
            1.0 / (1.0 + (place.fine_s / size) ** 2) for size in (0.05, 0.25, 1.0)
        )
        blotch = seen_wide * coarse
        asphalt = 1.0 + 0.08 * seen * fine + 0.06 * blotch
        asphalt -= 0.12 * place.stripe(kerb - 0.12, 0.2)
        slabs = 1.0 + 0.05 * seen_slabs * slab + 0.04 * blotch
        slabs += 0.14 * place.stripe(kerb + 0.07, 0.14) - 0.2 * place.stripe(kerb, 0.05)
        lawn = 1.0 + 0.14 * seen * blades + 0.08 * blotch
        paint = road * np.clip(self._worn + 0.25 * seen_wide * worn, 0.15, 1.0)
        weights = np.empty((*place.s.shape, 5), np.float32)
        weights[..., 3], weights[..., 4] = white * paint, yellow * paint
        weights[..., 0] = (road - weights[..., 3] - weights[..., 4]) * asphalt
        weights[..., 1] = paving * slabs
        weights[..., 2] = grass * lawn
        return weights

    def _light(self, window: Window, place: Place) -> Field:
        """Returns the factor (h, W) by which the shadows of the fronts darken the ground.

        The street counts as straight here: a shadow bends too little to be missed.
        """
        look = self._look
        ahead = window.headings[len(window.headings) // 5]
        angle = look.sun_azimuth - ahead
        across, along = -float(np.sin(angle)), float(np.cos(angle))
        if not look.sunny or abs(across) < 0.1:
            return np.ones_like(place.s)
        sun_side = replace(place, side=np.full_like(place.s, across > 0))
        fronts = window.section[..., FRONTS]
        front_m = sun_side.look_up(fronts)[..., 0]
        run: Field = np.maximum(front_m - place.d * np.float32(np.sign(across)), np.float32(0))
        run = run / np.float32(abs(across))
        height = sun_side.look_up(fronts, run * np.float32(along))[..., 1]
        dark = np.clip((height - run * np.float32(look.sun_slope)) / 0.5, 0.0, 1.0)
        sun = look.sun * look.sun_slope / np.hypot(1.0, look.sun_slope)
        share = float(np.mean(sun / (sun + look.ambient)))
        return np.asarray(1.0 - share * dark, np.float32)
