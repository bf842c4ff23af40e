# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Poles, signs, traffic lights and fences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from street_drive.textures import (
    Canvas,
    Colour,
    brick_shade,
    noise_patch,
    opaque,
    premultiplied,
    shaded,
)

LAMP_WIDTH_M, LAMP_HEIGHT_M = 3.4, 8.0
POST_WIDTH_M = 0.13
FENCE_LENGTH_M = 8.0

SIGN_SIZES_M = {
    "round": (0.85, 0.85),
    "triangle": (0.95, 0.85),
    "plate": (0.75, 1.0),
    "direction": (2.0, 1.4),
    "light": (0.46, 1.2),
    "hanging": (0.9, 0.7),
    "stop": (0.5, 1.1),
}
"""Width and height of each kind of sign."""

_WHITE: Colour = (238, 238, 234)
_RED: Colour = (196, 26, 34)
_BLUE: Colour = (24, 72, 158)
_BLACK: Colour = (22, 22, 22)


def sign(rng: np.random.Generator, kind: str) -> NDArray[np.uint8]:
    """Returns a sign of one of the kinds in SIGN_SIZES_M, premultiplied (h, w, 4) uint8."""
    width, height = SIGN_SIZES_M[kind]
    canvas = Canvas(width, height, 110.0 if width < 1 else 60.0)
    draw = {
        "round": _round, "triangle": _triangle, "plate": _plate, "direction": _direction,
        "light": _light, "hanging": _hanging, "stop": _plate,
    }[kind]  # fmt: skip
    draw(canvas, rng, width, height)
    return canvas.picture()


def _round(canvas: Canvas, rng: np.random.Generator, width: float, height: float) -> None:
    middle, r = (0.0, height / 2), width / 2
    choice = rng.integers(4)
    if choice == 0:  # no entry
        canvas.ellipse(middle, r, r, _RED)
        canvas.box(-0.7 * r, middle[1] - 0.16 * r, 0.7 * r, middle[1] + 0.16 * r, _WHITE)
    elif choice == 1:  # blue arrow
        canvas.ellipse(middle, r, r, _WHITE)
        canvas.ellipse(middle, 0.93 * r, 0.93 * r, _BLUE)
        canvas.stroke([(-0.4 * r, 0.6 * r), (0.3 * r, 1.4 * r)], 0.16 * r, _WHITE)
        canvas.stroke(
            [(-0.2 * r, 1.4 * r), (0.3 * r, 1.4 * r), (0.3 * r, 0.9 * r)], 0.16 * r, _WHITE
        )
    else:  # red ring with a number or a picture
        canvas.ellipse(middle, r, r, _RED)
        canvas.ellipse(middle, 0.76 * r, 0.76 * r, _WHITE)
        canvas.letters(rng, (-0.4 * r, 0.7 * r, 0.55 * r, 1.3 * r), _BLACK)


def _triangle(canvas: Canvas, rng: np.random.Generator, width: float, height: float) -> None:
    half = width / 2
    canvas.polygon([(-half, 0.0), (half, 0.0), (0.0, height)], _RED)
    canvas.polygon([(-0.7 * half, 0.1), (0.7 * half, 0.1), (0.0, 0.78 * height)], _WHITE)
    canvas.letters(rng, (-0.1, 0.16, 0.14, 0.42), _BLACK)


def _plate(canvas: Canvas, rng: np.random.Generator, width: float, height: float) -> None:
    grounds = (_WHITE, _BLUE, (236, 190, 40), _RED, (24, 104, 60))
    ground = grounds[rng.choice(5, p=[0.35, 0.3, 0.15, 0.1, 0.1])]
    ink = _BLACK if sum(ground) > 400 else _WHITE
    half = width / 2
    canvas.box(-half, 0.0, half, height, ink)
    canvas.box(-half + 0.025, 0.025, half - 0.025, height - 0.025, ground)
    canvas.letters(rng, (-0.6 * half, 0.55 * height, 0.6 * half, 0.85 * height), ink)
    for z in (0.12, 0.3):
        canvas.letters(rng, (-0.8 * half, z * height, 0.8 * half, (z + 0.1) * height), ink)


def _direction(canvas: Canvas, rng: np.random.Generator, width: float, height: float) -> None:
    grounds: tuple[Colour, ...] = ((16, 96, 58), _WHITE, (30, 60, 140))
    ground = grounds[rng.integers(3)]
    ink = _BLACK if ground is _WHITE else _WHITE
    half = width / 2
    canvas.box(-half, 0.0, half, height, ink)
    canvas.box(-half + 0.05, 0.05, half - 0.05, height - 0.05, ground)
    for line in range(3):
        z = height * (0.12 + 0.29 * line)
        right = half * float(rng.uniform(0.2, 0.8))
        canvas.letters(rng, (-0.8 * half, z, right, z + 0.17 * height), ink)


def _light(canvas: Canvas, rng: np.random.Generator, width: float, height: float) -> None:
    half = width / 2
    canvas.box(-half, 0.0, half, height, _BLACK)
    if rng.random() < 0.4:  # the white edge of the back board
        canvas.box(-half, 0.0, -half + 0.04, height, _WHITE)
        canvas.box(half - 0.04, 0.0, half, height, _WHITE)
    lit = int(rng.choice([0, 2], p=[0.4, 0.6]))
    lamps: tuple[Colour, ...] = ((255, 50, 40), (255, 180, 40), (60, 250, 150))
    for k, lamp in enumerate(lamps):
        centre = (0.0, height * (0.83 - 0.33 * k))
        dark = (lamp[0] * 0.22, lamp[1] * 0.22, lamp[2] * 0.22)
        canvas.ellipse(centre, 0.135, 0.135, lamp if k == lit else dark)
        canvas.stroke([(-0.14, centre[1] + 0.15), (0.14, centre[1] + 0.15)], 0.03, (8, 8, 8))


def _hanging(canvas: Canvas, rng: np.random.Generator, width: float, height: float) -> None:
    half = width / 2
    r, g, b = rng.uniform(20, 230, 3)
    ink = _BLACK if r + g + b > 380 else _WHITE
    canvas.box(-half, 0.0, half, height, (float(r), float(g), float(b)))
    canvas.letters(rng, (-0.8 * half, 0.3 * height, 0.8 * half, 0.7 * height), ink)


def _metal(rng: np.random.Generator) -> Colour:
    grey = float(rng.choice([40.0, 70.0, 120.0, 150.0])) * float(rng.uniform(0.85, 1.15))
    green = 1.1 if rng.random() < 0.2 else 1.0
    return grey, grey * green, grey * 1.03


def lamp_post(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns a street lamp whose arm points left, premultiplied (h, w, 4) uint8, 3.4 x 8 m."""
    canvas = Canvas(LAMP_WIDTH_M, LAMP_HEIGHT_M, 50.0)
    colour = _metal(rng)
    top = float(rng.uniform(5.5, LAMP_HEIGHT_M - 0.3))
    arm = float(rng.uniform(0.0, 1.5))
    canvas.stroke([(0.0, 0.0), (0.0, 1.6)], 0.22, colour)
    canvas.stroke([(0.0, 1.2), (0.0, top)], 0.14, colour)
    canvas.stroke([(0.0, top), (-0.5 * arm, top + 0.1), (-arm, top + 0.14)], 0.1, colour)
    canvas.box(-arm - 0.55, top + 0.06, -arm + 0.1, top + 0.24, (150, 152, 150))
    return canvas.picture()


def post(rng: np.random.Generator, height_m: float) -> NDArray[np.uint8]:
    """Returns a straight post 0.13 m wide, opaque (h, w, 4) uint8."""
    rows = max(8, round(height_m * 40))
    across = np.array([0.75, 1.0, 1.2, 1.05, 0.85, 0.7], np.float32)
    shade = across[None, :] * (1.0 + 0.06 * noise_patch(rng, rows, 6, 8, 1))
    rgb = shaded(_metal(rng), shade.astype(np.float32))
    if height_m < 1.5 and rng.random() < 0.5:  # bollards wear a bright band
        rgb[rows // 10 : rows // 4] = (226, 222, 210)
    return opaque(rgb)


def cover(rng: np.random.Generator, kind: str) -> NDArray[np.uint8]:
    """Returns a "manhole" cover or a mended "patch" of asphalt, premultiplied (h, w, 4) uint8."""
    size = 96
    shade = 1.0 + 0.1 * noise_patch(rng, size, size, 4, 2)
    if kind == "manhole":
        shade[8::12, 6:-6] *= 0.6
        shade[:, 8::12] *= 0.8
    grey = float(rng.uniform(56, 96))
    alpha = np.full((size, size), 0.9 if kind == "manhole" else 0.6, np.float32)
    rim = 4 if kind == "manhole" else 2
    shade[:rim] = shade[-rim:] = shade[:, :rim] = shade[:, -rim:] = 0.6
    return premultiplied(shaded((grey, grey, grey * 1.02), shade.astype(np.float32)), alpha)


def fence(rng: np.random.Generator, kind: str, height_m: float) -> NDArray[np.uint8]:
    """Returns 8 m of fence, premultiplied (h, w, 4) uint8.

    Args:
        rng: source of the fence's looks.
        kind: "bars", "mesh", "boards" or "wall".
        height_m: height of the fence.
    """
    if kind == "wall":
        rows, columns = round(height_m * 60), round(FENCE_LENGTH_M * 60)
        shade = brick_shade(rng, rows, columns, 60.0)
        shade[: max(1, rows // 9)] = 1.35
        dirt = 1.0 + 0.08 * noise_patch(rng, rows, columns, 32)
        r, g, b = np.array([150.0, 108.0, 84.0]) * rng.uniform(0.7, 1.2)
        return opaque(shaded((r, g, b), np.asarray(shade * dirt, np.float32)))
    canvas = Canvas(FENCE_LENGTH_M, height_m, 50.0)
    half = FENCE_LENGTH_M / 2
    if kind == "boards":
        r, g, b = np.array([140.0, 104.0, 72.0]) * rng.uniform(0.6, 1.2)
        for x in np.arange(-half, half, 0.16):
            k = float(rng.uniform(0.85, 1.1))
            top = height_m - float(rng.uniform(0.0, 0.04))
            canvas.box(float(x), 0.0, float(x) + 0.15, top, (r * k, g * k, b * k))
        return canvas.picture()
    colour = _metal(rng) if rng.random() < 0.7 else _WHITE
    step = 0.13 if kind == "bars" else 0.09
    for x in np.arange(-half + 0.03, half, step):
        canvas.stroke([(float(x), 0.08), (float(x), height_m - 0.06)], 0.026, colour)
    if kind == "mesh":
        for z in np.arange(0.1, height_m, step):
            canvas.stroke([(-half, float(z)), (half, float(z))], 0.012, colour)
    for z in (0.12, height_m - 0.08):
        canvas.box(-half, z - 0.025, half, z + 0.03, colour)
    for x in np.arange(-half + 0.03, half + 0.1, 2.0):
        canvas.box(float(x) - 0.035, 0.0, float(x) + 0.035, height_m, colour)
    return canvas.picture()
