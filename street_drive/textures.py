# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Noise and materials: small tiling pictures from which the street's surfaces are made."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""RGB, 0 to 255."""

_TILE_PX = 512


def noise(rng: np.random.Generator, size_px: int, cell_px: int) -> NDArray[np.float32]:
    """Returns tiling value noise, (size_px, size_px) float32, mean 0 and deviation 1."""
    n = max(2, size_px // cell_px)
    grid = rng.standard_normal((n, n)).astype(np.float32)
    pad = 2
    padded = np.pad(grid, pad, mode="wrap")
    scale = size_px / n
    full = round((n + 2 * pad) * scale)
    big = cv2.resize(padded, (full, full), interpolation=cv2.INTER_CUBIC)
    first = round(pad * scale)
    field = big[first : first + size_px, first : first + size_px]
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


@lru_cache(maxsize=16)
def noise_tile(cell_px: int, octaves: int, seed: int = 0) -> NDArray[np.float32]:
    """Returns a shared (512, 512) float32 tile of noise, each octave half as wide and strong."""
    rng = np.random.default_rng([seed, cell_px, octaves])
    total = np.zeros((_TILE_PX, _TILE_PX), np.float32)
    for octave in range(octaves):
        total += noise(rng, _TILE_PX, max(1, cell_px >> octave)) * 0.6**octave
    return np.asarray(total / total.std(), np.float32)


def noise_patch(
    rng: np.random.Generator, height: int, width: int, cell_px: int, octaves: int = 3
) -> NDArray[np.float32]:
    """Returns (height, width) float32 noise cut from the shared tile at a random place."""
    tile = noise_tile(cell_px, octaves)
    rows = (np.arange(height) + rng.integers(_TILE_PX)) % _TILE_PX
    columns = (np.arange(width) + rng.integers(_TILE_PX)) % _TILE_PX
    return np.asarray(tile[rows[:, None], columns[None, :]], np.float32)


def shaded(colour: Colour, shade: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns colour times shade as (h, w, 3) float32."""
    return np.asarray(shade[..., None] * np.array(colour, np.float32), np.float32)


def opaque(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns (h, w, 3) float32 colours as opaque (h, w, 4) uint8."""
    rgba = np.full((*rgb.shape[:2], 4), 255, np.uint8)
    rgba[..., :3] = np.clip(rgb, 0, 255)
    return rgba


def premultiplied(rgb: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns colours (h, w, 3) 0..255 under alpha (h, w) 0..1 as premultiplied uint8 RGBA."""
    rgba = np.empty((*alpha.shape, 4), np.uint8)
    rgba[..., :3] = np.clip(rgb, 0, 255) * alpha[..., None]
    rgba[..., 3] = alpha * 255
    return rgba


def brick_shade(
    rng: np.random.Generator, height: int, width: int, px_per_m: float, course_m: float = 0.09
) -> NDArray[np.float32]:
    """Returns the shade (around 1) of a running bond wall, (height, width) float32."""
    course = max(2.0, course_m * px_per_m)
    brick = course * 2.8
    y = np.arange(height)[:, None] / course
    row = np.floor(y).astype(np.int64)
    x = np.arange(width)[None, :] / brick + 0.5 * (row % 2)
    column = np.floor(x).astype(np.int64)
    values = rng.normal(1.0, 0.09, (64, 64)).astype(np.float32)
    shade = values[row % 64, column % 64]
    mortar = (y - row < 1.2 / course) | (x - column < 1.2 / brick)
    return np.asarray(np.where(mortar, np.float32(1.12), shade), np.float32)


def slab_shade(size_px: int, slabs: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns the shade of square paving slabs with dark joints, tiling, (size, size) float32."""
    slab = size_px // slabs
    values = rng.normal(0.0, 1.0, (slabs, slabs)).astype(np.float32)
    shade = np.kron(values, np.ones((slab, slab), np.float32))
    shade[::slab] = shade[1::slab] = -3.5
    shade[:, ::slab] = shade[:, 1::slab] = -3.5
    full = cv2.resize(shade, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(full, np.float32)


class Canvas:
    """A transparent drawing surface in metres that becomes a premultiplied picture.

    Drawn three times finer than the result, so that outlines come out smooth.

    Args:
        width_m: width; x runs from -width_m / 2 to width_m / 2.
        height_m: height; z runs from 0 at the bottom edge to height_m.
        px_per_m: pixels per metre of the result.
    """

    _FINER = 3

    def __init__(self, width_m: float, height_m: float, px_per_m: float) -> None:
        self._size = (max(2, round(width_m * px_per_m)), max(2, round(height_m * px_per_m)))
        self._scale = px_per_m * self._FINER
        self._middle_m, self._top_m = width_m / 2, height_m
        shape = (self._size[1] * self._FINER, self._size[0] * self._FINER, 4)
        self._rgba = np.zeros(shape, np.uint8)

    def _points(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        xy = (points * [1, -1] + [self._middle_m, self._top_m]) * self._scale
        return np.asarray(np.rint(xy), np.int32)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fills the polygon through points (x, z)."""
        corners = self._points(np.array(points, np.float64))
        cv2.fillPoly(self._rgba, [corners], (*colour, 255))

    def stroke(self, points: list[tuple[float, float]], width_m: float, colour: Colour) -> None:
        """Draws a line with round ends through points (x, z)."""
        line = self._points(np.array(points, np.float64))
        thickness = max(1, round(width_m * self._scale))
        cv2.polylines(self._rgba, [line], False, (*colour, 255), thickness)

    def ellipse(
        self, centre: tuple[float, float], radius_x: float, radius_z: float, colour: Colour
    ) -> None:
        """Fills an upright ellipse."""
        x, y = self._points(np.array([centre], np.float64))[0]
        axes = (max(1, round(radius_x * self._scale)), max(1, round(radius_z * self._scale)))
        cv2.ellipse(self._rgba, (int(x), int(y)), axes, 0, 0, 360, (*colour, 255), -1)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """Fills a rectangle."""
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        self.polygon(corners, colour)

    def letters(
        self, rng: np.random.Generator, box: tuple[float, float, float, float], colour: Colour
    ) -> None:
        """Fills a box (left, bottom, right, top) with strokes that pass for lettering."""
        left, bottom, right, top = box
        step = 0.62 * (top - bottom)
        width_m = 0.14 * (top - bottom)
        for x in np.arange(left, right - 0.8 * step, step):
            if rng.random() < 0.12:
                continue
            corners = rng.integers(0, 3, (4, 2)) / 2.0 * [0.7 * step, top - bottom]
            self.stroke([(x + float(a), bottom + float(b)) for a, b in corners], width_m, colour)

    def picture(self, shade: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
        """Returns the premultiplied (h, w, 4) uint8 picture.

        Args:
            shade: optional (h, w) float32 factor of the colours, resized to the picture.
        """
        rgba = cv2.resize(self._rgba, self._size, interpolation=cv2.INTER_AREA)
        if shade is not None:
            factor = cv2.resize(shade, self._size, interpolation=cv2.INTER_LINEAR)
            rgb = rgba[..., :3] * factor[..., None]
            rgba[..., :3] = np.minimum(rgb, rgba[..., 3:])
        return rgba.astype(np.uint8)
