# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Trees, bushes and hedges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.textures import (
    Canvas,
    Colour,
    noise_patch,
    premultiplied,
    shaded,
)

TREE_WIDTH_M = 6.4
TREE_HEIGHT_M = 8.0
_PX_PER_M = 40.0

_LEAVES: tuple[Colour, ...] = (
    (70, 92, 44), (92, 104, 50), (54, 76, 40), (120, 112, 54), (140, 98, 44), (84, 88, 58),
)  # fmt: skip


def _branch(
    canvas: Canvas,
    rng: np.random.Generator,
    start: tuple[float, float],
    angle: float,
    length: float,
    width: float,
    colour: Colour,
) -> None:
    """Draws a branch and, while they are thick enough to see, the branches it divides into."""
    end = (start[0] + length * float(np.sin(angle)), start[1] + length * float(np.cos(angle)))
    canvas.stroke([start, end], width, colour)
    if width < 0.028:
        return
    for _ in range(3 if width < 0.12 else 2 + int(rng.integers(2))):
        turn = float(rng.normal(0.0, 0.48))
        stem = float(rng.uniform(0.55, 1.0))
        root = (start[0] + stem * (end[0] - start[0]), start[1] + stem * (end[1] - start[1]))
        shrink = float(rng.uniform(0.62, 0.84))
        _branch(canvas, rng, root, 0.92 * angle + turn, length * shrink, width * 0.62, colour)


def _skeleton(rng: np.random.Generator, twigs: bool) -> tuple[NDArray[np.uint8], Colour]:
    """Returns trunk and branches, premultiplied (h, w, 4) uint8, and their colour."""
    canvas = Canvas(TREE_WIDTH_M, TREE_HEIGHT_M, _PX_PER_M)
    grey = rng.uniform(34, 78)
    colour: Colour = (grey * 1.1, grey, grey * 0.86)
    trunk = rng.uniform(1.8, 2.8)
    thick = rng.uniform(0.22, 0.42)
    canvas.stroke([(0.0, 0.0), (0.0, trunk)], thick, colour)
    limbs = 5 if twigs else 3
    for k in range(limbs):
        angle = (k - (limbs - 1) / 2) * 0.4 + float(rng.normal(0, 0.12))
        _branch(
            canvas, rng, (0.0, trunk * float(rng.uniform(0.8, 1.0))), angle,
            float(rng.uniform(1.3, 1.8)), thick * 0.55 if twigs else thick * 0.4, colour,
        )  # fmt: skip
    return canvas.picture(), colour


def _crown_field(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """Returns how deep inside the crown a pixel is, (rows, columns) float32, 0 at its rim."""
    y = np.linspace(TREE_HEIGHT_M, 0.0, rows, dtype=np.float32)[:, None]
    x = np.linspace(-TREE_WIDTH_M / 2, TREE_WIDTH_M / 2, columns, dtype=np.float32)[None, :]
    field = np.full((rows, columns), -9.0, np.float32)
    for _ in range(int(rng.integers(6, 12))):
        cx, cy = rng.normal(0.0, 1.0), rng.normal(5.0, 0.9)
        radius = rng.uniform(0.9, 1.7)
        reach = min(radius, 2.9 - abs(cx), TREE_HEIGHT_M - 0.2 - cy)
        if reach > 0.4:
            field = np.maximum(field, reach - np.hypot(x - cx, y - cy).astype(np.float32))
    return field


def leafy_tree(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns a tree in leaf, premultiplied (h, w, 4) uint8, 6.4 m by 8 m."""
    rgba, _ = _skeleton(rng, twigs=False)
    rows, columns = rgba.shape[:2]
    field = _crown_field(rng, rows, columns)
    ragged = field + 0.28 * noise_patch(rng, rows, columns, 32) - 0.1
    leaves = np.clip(ragged * 6.0 + 0.9 * noise_patch(rng, rows, columns, 4, 2), 0, 1)
    lit = np.linspace(1.25, 0.7, rows, dtype=np.float32)[:, None]
    clumps = noise_patch(rng, rows, columns, 16, 3)
    shade = lit * (1.0 + 0.26 * clumps + 0.16 * noise_patch(rng, rows, columns, 2, 1))
    colour = _LEAVES[rng.integers(len(_LEAVES))]
    r, g, b = np.array(colour) * rng.uniform(0.7, 1.15)
    crown = premultiplied(shaded((r, g, b), np.clip(shade, 0.25, 2.0)), leaves.astype(np.float32))
    behind = rgba * (1.0 - crown[..., 3:] / 255.0)
    return _frayed(rng, crown + behind)


def bare_tree(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns a winter tree whose finest twigs are a see-through mist, 6.4 m by 8 m."""
    rgba, colour = _skeleton(rng, twigs=True)
    rows, columns = rgba.shape[:2]
    wide = cv2.GaussianBlur(rgba[..., 3].astype(np.float32) / 255, (0, 0), 9.0)
    twigs = noise_patch(rng, rows, columns, 4, 2) * 0.22 + np.clip(wide * 2.2, 0, 0.62)
    alpha = np.where(wide > 0.06, np.clip(twigs, 0, 0.75), 0).astype(np.float32)
    alpha[rows - round(2.0 * _PX_PER_M) :] = 0
    r, g, b = np.array(colour) * 1.25
    mist = premultiplied(shaded((r, g, b), np.ones((rows, columns), np.float32)), alpha)
    behind = mist * (1.0 - rgba[..., 3:] / 255.0)
    return _frayed(rng, rgba + behind)


def _frayed(rng: np.random.Generator, rgba: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Returns a tree whose branches end before the sides and the top of the picture do."""
    rows, columns = rgba.shape[:2]
    from_side = np.minimum(np.arange(columns), np.arange(columns)[::-1])[None, :]
    from_edge = np.minimum(from_side, np.arange(rows)[:, None]) / _PX_PER_M
    ragged = from_edge * 2.5 - 0.7 + 0.35 * noise_patch(rng, rows, columns, 16)
    return np.asarray(rgba * np.clip(ragged * 4.0, 0, 1)[..., None], np.uint8)


def conifer(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns a dark pointed tree, 6.4 m by 8 m."""
    rows, columns = round(TREE_HEIGHT_M * _PX_PER_M), round(TREE_WIDTH_M * _PX_PER_M)
    z = np.linspace(TREE_HEIGHT_M, 0.0, rows, dtype=np.float32)[:, None]
    x = np.linspace(-TREE_WIDTH_M / 2, TREE_WIDTH_M / 2, columns, dtype=np.float32)[None, :]
    half = np.where(z > 0.5, (TREE_HEIGHT_M - z) * rng.uniform(0.18, 0.32), 0.12)
    steps = 0.25 * ((z * rng.uniform(1.2, 2.0)) % 1.0)
    inside = half - steps - np.abs(x) + 0.25 * noise_patch(rng, rows, columns, 16)
    leaves = np.clip(inside * 5.0 + 0.7 * noise_patch(rng, rows, columns, 4, 2), 0, 1)
    shade = np.clip(1.0 + 0.3 * noise_patch(rng, rows, columns, 8, 3) - steps, 0.3, 2.0)
    r, g, b = np.array([46.0, 66.0, 44.0]) * rng.uniform(0.7, 1.2)
    return premultiplied(shaded((r, g, b), shade.astype(np.float32)), leaves.astype(np.float32))


def hedge(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns a clipped hedge with a ragged top, 8 m by 1.6 m."""
    rows, columns = round(1.6 * _PX_PER_M), round(8.0 * _PX_PER_M)
    height = np.linspace(1.6, 0.0, rows, dtype=np.float32)[:, None]
    top = 1.35 + 0.12 * noise_patch(rng, 1, columns, 32)
    leaves = np.clip((top - height) * 9.0 + 0.6 * noise_patch(rng, rows, columns, 4, 2), 0, 1)
    shade = (0.7 + 0.3 * height) * (1.0 + 0.28 * noise_patch(rng, rows, columns, 8, 3))
    r, g, b = np.array(_LEAVES[rng.integers(len(_LEAVES))]) * 0.9
    colour = shaded((r, g, b), np.clip(shade, 0.25, 2.0).astype(np.float32))
    return premultiplied(colour, leaves.astype(np.float32))
