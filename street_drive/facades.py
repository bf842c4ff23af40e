# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Fronts, roofs and end walls of buildings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.surface import Texture
from street_drive.textures import (
    Colour,
    brick_shade,
    noise_patch,
    opaque,
    premultiplied,
    shaded,
)

PX_PER_M = 36.0

_BRICKS: tuple[Colour, ...] = (
    (150, 84, 62), (176, 128, 92), (198, 176, 132), (126, 70, 58), (168, 150, 120), (140, 110, 92),
)  # fmt: skip
_RENDERS: tuple[Colour, ...] = (
    (232, 228, 216), (214, 200, 172), (224, 212, 186), (188, 198, 206), (206, 164, 140),
    (240, 238, 234), (176, 180, 160), (150, 148, 146), (112, 108, 104), (222, 190, 118),
)  # fmt: skip
_PAINTS: tuple[Colour, ...] = (
    (30, 52, 40), (22, 34, 74), (122, 24, 26), (20, 20, 22), (236, 236, 232), (24, 92, 72),
    (196, 160, 40), (70, 30, 74), (40, 110, 160), (208, 84, 30),
)  # fmt: skip


@dataclass(frozen=True)
class Building:
    """The pictures and the size of one kind of building.

    Attributes:
        length_m, height_m: size of the front up to the eaves.
        roof_m: height of the ridge above the eaves, 0 for a flat roof.
        depth_m: distance from the front to the back.
        front, gable, roof: pictures; the gable's includes the triangle below the roof.
        chimney: picture of the chimneys along the ridge, or None.
    """

    length_m: float
    height_m: float
    roof_m: float
    depth_m: float
    front: Texture
    gable: Texture
    roof: Texture
    chimney: Texture | None


class _Front:
    """A front under construction, measured in metres from its lower left corner."""

    def __init__(self, rgb: NDArray[np.float32]) -> None:
        self.rgb = rgb

    def region(
        self, left: float, bottom: float, width: float, height: float
    ) -> NDArray[np.float32]:
        rows = self.rgb.shape[0]
        y0, y1 = rows - round((bottom + height) * PX_PER_M), rows - round(bottom * PX_PER_M)
        x0, x1 = round(left * PX_PER_M), round((left + width) * PX_PER_M)
        return self.rgb[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]

    def fill(self, left: float, bottom: float, width: float, height: float, colour: Colour) -> None:
        self.region(left, bottom, width, height)[:] = colour

    def scale(self, left: float, bottom: float, width: float, height: float, by: float) -> None:
        self.region(left, bottom, width, height)[:] *= by


def _wall(
    rng: np.random.Generator, height: int, width: int, modern: bool, px_per_m: float = PX_PER_M
) -> NDArray[np.float32]:
    """Returns the bare wall, (height, width, 3) float32."""
    dirt = (
        1.0
        + 0.06 * noise_patch(rng, height, width, 64)
        + 0.03 * noise_patch(rng, height, width, 8, 2)
    )
    if rng.random() < (0.3 if modern else 0.6):
        colour = _BRICKS[rng.integers(len(_BRICKS))]
        dirt = dirt * brick_shade(rng, height, width, px_per_m)
    else:
        colour = _RENDERS[rng.integers(len(_RENDERS))]
    r, g, b = np.array(colour) * rng.uniform(0.75, 1.1) * rng.uniform(0.95, 1.05, 3)
    return shaded((float(r), float(g), float(b)), np.asarray(dirt, np.float32))


def _glass(rng: np.random.Generator, pane: NDArray[np.float32]) -> None:
    """Fills a pane with dark, sky-mirroring glass, sometimes with a curtain."""
    rows, columns = pane.shape[:2]
    if rows < 2 or columns < 2:
        return
    dark = rng.uniform(10, 52)
    mirror = rng.uniform(0, 110) * np.linspace(1.0, 0.0, rows, dtype=np.float32) ** 1.5
    blotch = 14.0 * noise_patch(rng, rows, columns, 32, 2)
    pane[:] = (dark + mirror[:, None] + blotch)[..., None] * np.array([0.92, 1.0, 1.08])
    if rng.random() < 0.35:
        width = max(1, int(columns * rng.uniform(0.12, 0.3)))
        cloth = rng.uniform(110, 210)
        pane[:, :width] = pane[:, -width:] = cloth
    if rng.random() < 0.15:
        pane[: int(rows * rng.uniform(0.2, 0.8))] = rng.uniform(120, 200)


def _window(
    front: _Front,
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    frame: Colour,
    bars: tuple[int, int],
) -> None:
    """Draws a window into box (left, bottom, width, height) with bars per axis."""
    left, bottom, width, height = box
    front.scale(left - 0.06, bottom + height, width + 0.12, 0.14, 1.18)
    front.fill(left, bottom, width, height, frame)
    rim = 0.06
    _glass(rng, front.region(left + rim, bottom + rim, width - 2 * rim, height - 2 * rim))
    for k in range(1, bars[0] + 1):
        front.fill(left + width * k / (bars[0] + 1) - 0.025, bottom, 0.05, height, frame)
    for k in range(1, bars[1] + 1):
        front.fill(left, bottom + height * k / (bars[1] + 1) - 0.025, width, 0.05, frame)
    front.scale(left, bottom + height - 0.1, width, 0.1, 0.55)
    front.fill(left - 0.08, bottom - 0.1, width + 0.16, 0.1, (206, 202, 192))
    front.scale(left - 0.05, bottom - 0.22, width + 0.1, 0.12, 0.75)


def _shop(front: _Front, rng: np.random.Generator, length: float, height: float) -> None:
    """Draws shop windows under a lettered board along the ground floor."""
    left = 0.0
    while left < length - 2.0:
        width = min(length - left, rng.uniform(4.0, 8.0))
        if length - left - width < 2.5:
            width = length - left
        paint = _PAINTS[rng.integers(len(_PAINTS))]
        front.fill(left, 0.0, width, height, paint)
        board = front.region(left + 0.1, height - 0.75, width - 0.2, 0.65)
        board[:] = np.array(_PAINTS[rng.integers(len(_PAINTS))]) * 0.9 + 12
        ink = 235.0 if board.mean() < 120 else 25.0
        x = left + width * rng.uniform(0.1, 0.3)
        while x < left + width * 0.8:
            front.fill(x, height - 0.62, 0.07, 0.36, (ink, ink, ink))
            front.fill(x, height - 0.62 + rng.choice([0.0, 0.15, 0.3]), 0.22, 0.07, (ink, ink, ink))
            x += 0.34
        door = left + rng.uniform(0.1, 0.8) * (width - 1.3)
        x = left + 0.2
        while x < left + width - 0.6:
            pane = min(rng.uniform(1.2, 2.2), left + width - 0.2 - x)
            low = 0.1 if abs(x - door) < 1.0 else 0.5
            region = front.region(x, low, pane - 0.1, height - 0.95 - low)
            _glass(rng, region)
            if region.size:
                goods = noise_patch(rng, region.shape[0], region.shape[1], 16, 2)[..., None]
                tint = rng.uniform(-25, 60, 3) * rng.uniform(0, 1)
                region += np.where(goods > 0.4, tint, 0.0)
            x += pane
        left += width


def _front(
    rng: np.random.Generator, length: float, storeys: int, storey_m: float, shop: bool, modern: bool
) -> NDArray[np.float32]:
    """Returns the picture of a front, (h, w, 3) float32."""
    height = storeys * storey_m + 0.5
    rgb = _wall(rng, round(height * PX_PER_M), round(length * PX_PER_M), modern)
    front = _Front(rgb)
    frame: Colour = (235, 235, 230) if rng.random() < 0.65 else (50, 46, 44)
    bay = rng.uniform(1.9, 3.2)
    across = max(1, int(length / bay))
    bay = length / across
    wide = min(bay - 0.4, rng.uniform(0.8, 1.3) * (1.9 if modern else 1.0))
    tall = rng.uniform(1.2, min(1.9, storey_m - 0.8))
    bars = (int(rng.integers(0, 3)), int(rng.integers(0, 2)))
    door_bay = int(rng.integers(across))
    for storey in range(storeys):
        bottom = storey * storey_m
        if storey == 0 and shop:
            _shop(front, rng, length, storey_m + 0.2)
            continue
        if storey and rng.random() < 0.5:
            front.scale(0.0, bottom - 0.05, length, 0.14, 1.15)
        for k in range(across):
            middle = (k + 0.5) * bay
            if storey == 0 and k == door_bay:
                paint = _PAINTS[rng.integers(len(_PAINTS))]
                front.fill(middle - 0.6, 0.0, 1.2, 2.4, frame)
                front.fill(middle - 0.48, 0.0, 0.96, 2.05, paint)
                front.fill(middle - 0.45, 2.1, 0.9, 0.24, (60, 66, 72))
                continue
            box = (middle - wide / 2, bottom + 0.85, wide, tall)
            _window(front, rng, box, frame, bars)
    front.fill(0.0, height - 0.22, length, 0.22, (190, 186, 178) if modern else (88, 80, 74))
    front.scale(0.0, height - 0.36, length, 0.14, 0.7)
    front.scale(0.0, 0.0, length, 0.35, 0.8)
    rgb *= np.linspace(1.08, rng.uniform(0.6, 0.95), rgb.shape[0], dtype=np.float32)[:, None, None]
    if rng.random() < 0.6:
        front.fill(rng.choice([0.1, length - 0.2]), 0.0, 0.1, height - 0.3, (44, 44, 46))
    return rgb


def _gable(rng: np.random.Generator, depth: float, height: float, roof: float) -> NDArray[np.uint8]:
    """Returns the end wall with its triangle, premultiplied (h, w, 4) uint8."""
    rows, columns = round((height + roof) * PX_PER_M / 2), round(depth * PX_PER_M / 2)
    wall = _wall(rng, rows, columns, False, PX_PER_M / 2)
    mask = np.zeros((rows, columns), np.uint8)
    eaves = round(roof * PX_PER_M / 2)
    outline = np.array(
        [[0, rows], [0, eaves], [columns // 2, 0], [columns, eaves], [columns, rows]]
    )
    cv2.fillPoly(mask, [outline.astype(np.int32)], 255, cv2.LINE_AA)
    return premultiplied(wall, (mask / 255).astype(np.float32))


def _roof(rng: np.random.Generator, length: float, slope_m: float) -> NDArray[np.uint8]:
    """Returns rows of tiles, opaque (h, w, 4) uint8."""
    rows, columns = round(max(1.0, slope_m) * 20), round(length * 20)
    shade = brick_shade(rng, rows, columns, 20.0, 0.3)
    shade = np.where(shade > 1.11, np.float32(0.8), shade)
    shade = shade * (1 + 0.1 * noise_patch(rng, rows, columns, 64))
    colours: tuple[Colour, ...] = ((84, 84, 90), (120, 74, 58), (70, 66, 64), (104, 92, 82))
    return opaque(shaded(colours[rng.integers(len(colours))], np.asarray(shade, np.float32)))


def _chimneys(rng: np.random.Generator, length: float) -> NDArray[np.uint8]:
    """Returns one or two chimney stacks with pots, premultiplied (h, w, 4) uint8."""
    scale = 16
    rows, columns = round(1.6 * scale), round(length * scale)
    rgb = np.zeros((rows, columns, 3), np.float32)
    alpha = np.zeros((rows, columns), np.float32)
    shade = brick_shade(rng, rows, columns, scale)
    for left in rng.choice([0.02, 0.45, 0.85], 2, replace=False) * columns:
        x0, x1 = int(left), int(left) + round(1.0 * scale)
        alpha[round(0.4 * scale) :, x0:x1] = 1
        rgb[:, x0:x1] = shaded((150, 100, 78), shade[:, x0:x1])
        for pot in (2, 9):
            alpha[: round(0.4 * scale), x0 + pot : x0 + pot + 5] = 1
            rgb[: round(0.4 * scale), x0 + pot : x0 + pot + 5] = (170, 96, 66)
    return premultiplied(rgb, alpha)


def make_building(rng: np.random.Generator, kind: str) -> Building:
    """Draws a building.

    Args:
        rng: source of the building's looks.
        kind: "shop", "terrace", "house" or "block".
    """
    modern = kind == "block"
    length = {"shop": 10.0, "terrace": 11.0, "house": 9.0, "block": 18.0}[kind]
    length *= rng.uniform(0.7, 1.3)
    storeys = int(rng.integers(*{"shop": (2, 5), "terrace": (2, 4), "house": (1, 3),
                                 "block": (3, 7)}[kind]))  # fmt: skip
    storey_m = rng.uniform(2.7, 3.3)
    shop = kind == "shop" or (modern and rng.random() < 0.4)
    rgb = _front(rng, length, storeys, storey_m, shop, modern)
    height = rgb.shape[0] / PX_PER_M
    pitched = not modern and rng.random() < 0.85
    roof_m = rng.uniform(1.5, 3.2) if pitched else 0.0
    depth = rng.uniform(7.0, 11.0)
    chimneys = _chimneys(rng, length) if pitched and rng.random() < 0.7 else None
    return Building(
        length_m=length,
        height_m=height,
        roof_m=roof_m,
        depth_m=depth,
        front=Texture(opaque(rgb)),
        gable=Texture(_gable(rng, depth, height, roof_m)),
        roof=Texture(_roof(rng, length, float(np.hypot(roof_m, depth / 2)))),
        chimney=None if chimneys is None else Texture(chimneys),
    )
