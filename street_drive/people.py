# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Pedestrians and cyclists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from street_drive.textures import Canvas, Colour, noise_patch

PHASES = 6
"""Pictures per stride."""

PERSON_WIDTH_M, PERSON_HEIGHT_M = 1.1, 1.95
CYCLIST_WIDTH_M, CYCLIST_HEIGHT_M = 2.0, 1.95
_PX_PER_M = 90.0


@dataclass(frozen=True)
class Clothes:
    """How one person is built and dressed (lengths in metres)."""

    height: float
    girth: float
    skin: Colour
    hair: Colour
    top: Colour
    trousers: Colour
    shoes: Colour
    bag: Colour | None
    skirt: bool
    long_coat: bool
    long_hair: bool
    helmet: bool


def dress(rng: np.random.Generator) -> Clothes:
    """Draws one person's build and clothes."""
    skins: tuple[Colour, ...] = ((224, 180, 152), (198, 146, 116), (140, 94, 70), (92, 62, 48))
    hairs: tuple[Colour, ...] = ((30, 24, 20), (82, 56, 34), (150, 116, 70), (150, 148, 144))

    def cloth(bright: float) -> Colour:
        grey = rng.uniform(14, 62)
        if rng.random() < bright:
            grey = rng.uniform(50, 170)
        r, g, b = np.clip(grey + rng.normal(0, 34 if rng.random() < 0.6 else 6, 3), 8, 240)
        return float(r), float(g), float(b)

    return Clothes(
        height=rng.uniform(1.55, 1.86) if rng.random() < 0.9 else rng.uniform(1.0, 1.4),
        girth=rng.uniform(0.85, 1.25),
        skin=skins[rng.choice(4, p=[0.5, 0.25, 0.15, 0.1])],
        hair=hairs[rng.integers(4)],
        top=cloth(0.35),
        trousers=cloth(0.15),
        shoes=(30, 28, 28) if rng.random() < 0.7 else (190, 190, 190),
        bag=cloth(0.4) if rng.random() < 0.45 else None,
        skirt=bool(rng.random() < 0.15),
        long_coat=bool(rng.random() < 0.3),
        long_hair=bool(rng.random() < 0.4),
        helmet=bool(rng.random() < 0.5),
    )


def _darker(colour: Colour, by: float) -> Colour:
    return colour[0] * by, colour[1] * by, colour[2] * by


def _folds(seed: int) -> NDArray[np.float32]:
    """Returns a soft shade of cloth, lit from the upper left."""
    rng = np.random.default_rng(seed)
    rows, columns = 150, 90
    side = np.linspace(1.0, 0.62, columns, dtype=np.float32)[None, :]
    return np.asarray(side * (1.0 + 0.1 * noise_patch(rng, rows, columns, 16)), np.float32)


def _head(canvas: Canvas, c: Clothes, x: float, z: float, facing: bool) -> None:
    """Draws a head whose chin is at (x, z)."""
    canvas.box(x - 0.055, z - 0.1, x + 0.055, z + 0.06, _darker(c.skin, 0.8))
    canvas.ellipse((x, z + 0.12), 0.095, 0.13, c.skin if facing else c.hair)
    canvas.ellipse((x, z + 0.18), 0.1, 0.085, c.hair)
    if c.long_hair:
        for side in (-0.085, 0.085):
            canvas.stroke([(x + side, z + 0.16), (x + side * 1.1, z - 0.06)], 0.06, c.hair)
        if not facing:
            canvas.box(x - 0.1, z - 0.1, x + 0.1, z + 0.16, c.hair)


def walker(c: Clothes, phase: int, view: str) -> NDArray[np.uint8]:
    """Returns a walking person, premultiplied (h, w, 4) uint8, 1.1 m by 1.95 m.

    Args:
        c: the person.
        phase: moment of the stride, 0 to PHASES - 1; PHASES means standing.
        view: "front", "back" or "side" (walking to the right).
    """
    canvas = Canvas(PERSON_WIDTH_M, PERSON_HEIGHT_M, _PX_PER_M)
    k = c.height / 1.75
    g = 0.19 * c.girth * k
    swing = 0.0 if phase == PHASES else float(np.sin(2 * np.pi * phase / PHASES))
    lift = 0.0 if phase == PHASES else float(np.cos(2 * np.pi * phase / PHASES))
    hip, shoulder = 0.88 * k, 1.43 * k
    side = view == "side"
    for leg in (-1, 1):
        shade = _darker(c.trousers, 0.75 if leg < 0 else 1.0)
        up = max(0.0, leg * lift) * 0.12 * k
        if side:
            knee = (leg * swing * 0.2 * k + 0.05 * (up > 0), 0.47 * k + up / 2)
            foot = (leg * swing * 0.36 * k - up, 0.07 + up)
            toe = (foot[0] + 0.15 * k, 0.04 + up)
        else:
            x = leg * 0.1 * k * c.girth
            up = max(0.0, leg * swing) * 0.16 * k
            knee, foot = (x, 0.47 * k + up / 3), (x * 0.9, 0.08 + up)
            toe = (foot[0] + leg * 0.02, 0.05 + up)
        canvas.stroke([(leg * 0.06 * k * (not side), hip), knee], 0.17 * k * c.girth, shade)
        canvas.stroke([knee, foot], 0.125 * k, c.skin if c.skirt else shade)
        canvas.stroke([foot, toe], 0.1 * k, c.shoes)
    if c.skirt or c.long_coat:
        hem = 0.52 * k
        cloth = c.top if c.long_coat else c.trousers
        half = g * (0.85 if side else 1.15)
        canvas.polygon(
            [(-half, hem), (half, hem), (g * 0.8, hip + 0.2), (-g * 0.8, hip + 0.2)], cloth
        )
    half = g * (0.72 if side else 1.1)
    for arm in (-1, 1):
        if side and arm > 0:
            continue
        root = (arm * half * (not side), shoulder - 0.05)
        elbow = (arm * half * 1.2 * (not side) - arm * swing * 0.14 * side, shoulder - 0.32 * k)
        hand = (elbow[0] * 1.02 - arm * swing * 0.12 * side + 0.05 * side, shoulder - 0.56 * k)
        canvas.stroke([root, elbow, hand], 0.11 * k, _darker(c.top, 0.7))
        canvas.ellipse(hand, 0.05, 0.06, c.skin)
    canvas.polygon(
        [(-half * 0.9, hip - 0.08), (half * 0.9, hip - 0.08), (half, shoulder - 0.1),
         (half * 0.7, shoulder + 0.02), (-half * 0.7, shoulder + 0.02), (-half, shoulder - 0.1)],
        c.top,
    )  # fmt: skip
    if c.bag is not None and view == "back":
        canvas.box(-half * 0.7, hip + 0.12, half * 0.7, shoulder - 0.04, c.bag)
    elif c.bag is not None:
        canvas.box(half * 0.6, hip - 0.2, half * 0.6 + 0.22, hip + 0.14, c.bag)
    if side:
        elbow = (swing * 0.16, shoulder - 0.32 * k)
        hand = (swing * 0.3 + 0.05, shoulder - 0.56 * k)
        canvas.stroke([(0.0, shoulder - 0.06), elbow, hand], 0.11 * k, _darker(c.top, 0.82))
        canvas.ellipse(hand, 0.05, 0.06, c.skin)
    _head(canvas, c, 0.03 * side, shoulder + 0.06, view != "back")
    return canvas.picture(_folds(int(c.top[0] * 7 + c.top[1])))


def cyclist(c: Clothes, phase: int, view: str) -> NDArray[np.uint8]:
    """Returns a cyclist on a bicycle, premultiplied (h, w, 4) uint8, 2 m by 1.95 m.

    Args:
        c: the person.
        phase: moment of the pedal's turn, 0 to PHASES - 1.
        view: "front", "back" or "side" (riding to the right).
    """
    canvas = Canvas(CYCLIST_WIDTH_M, CYCLIST_HEIGHT_M, _PX_PER_M)
    turn = 2 * np.pi * phase / PHASES
    metal = c.bag if c.bag is not None else (50.0, 50.0, 54.0)
    helmet: Colour = (220, 220, 210) if c.helmet else c.hair
    if view == "side":
        _side_cyclist(canvas, c, turn, metal)
        _head(canvas, c, 0.24, 1.52, True)
        canvas.ellipse((0.23, 1.72), 0.12, 0.08, helmet)
        return canvas.picture(_folds(int(c.top[0] * 5 + c.top[2])))
    facing = view == "front"
    canvas.stroke([(0.0, 0.04), (0.0, 0.72)], 0.07, (24, 24, 24))
    for leg in (-1, 1):
        knee = 0.78 + leg * 0.14 * float(np.sin(turn))
        foot = 0.3 + leg * 0.16 * float(np.sin(turn))
        canvas.stroke([(leg * 0.09, 0.98), (leg * 0.16, knee)], 0.16, c.trousers)
        canvas.stroke([(leg * 0.16, knee), (leg * 0.13, foot)], 0.12, _darker(c.trousers, 0.85))
        canvas.stroke([(leg * 0.13, foot), (leg * 0.15, foot - 0.06)], 0.1, c.shoes)
        canvas.stroke([(leg * 0.19, 1.38), (leg * 0.31, 1.16), (leg * 0.27, 1.02)], 0.11, c.top)
    canvas.stroke([(-0.3, 1.02), (0.3, 1.02)], 0.035, metal)
    canvas.polygon(
        [(-0.17, 0.88), (0.17, 0.88), (0.24, 1.38), (0.12, 1.48), (-0.12, 1.48), (-0.24, 1.38)],
        c.top,
    )
    if facing:
        canvas.box(-0.1, 0.75, 0.1, 1.02, metal)
        canvas.ellipse((0.0, 0.92), 0.05, 0.05, (250, 250, 235))
    else:
        canvas.box(-0.13, 0.9, 0.13, 0.97, (30, 30, 30))
        canvas.ellipse((0.0, 0.8), 0.04, 0.04, (220, 30, 30))
        if c.bag is not None:
            canvas.box(-0.15, 1.0, 0.15, 1.36, c.bag)
    _head(canvas, c, 0.0, 1.5, facing)
    canvas.ellipse((0.0, 1.71), 0.115, 0.08, helmet)
    return canvas.picture(_folds(int(c.top[0] * 5 + c.top[2])))


def _side_cyclist(canvas: Canvas, c: Clothes, turn: float, metal: Colour) -> None:
    """Draws a bicycle and its rider, seen from the side, up to the neck."""
    tyre: Colour = (24, 24, 24)
    rear, front, crank = (-0.52, 0.34), (0.54, 0.34), (-0.06, 0.3)
    saddle, bars = (-0.2, 0.94), (0.4, 1.02)
    for hub in (rear, front):
        rim = [
            (hub[0] + 0.32 * float(np.cos(a)), hub[1] + 0.32 * float(np.sin(a)))
            for a in np.linspace(0, 2 * np.pi, 25)
        ]
        canvas.polygon(rim, (96, 96, 96))
        canvas.stroke(rim, 0.045, tyre)
    legs = []
    for side in (0.0, np.pi):
        pedal = (crank[0] + 0.17 * float(np.cos(turn + side)),
                 crank[1] - 0.17 * float(np.sin(turn + side)))  # fmt: skip
        knee = ((saddle[0] + pedal[0]) / 2 + 0.26, (saddle[1] + pedal[1]) / 2 + 0.12)
        legs.append((knee, pedal))
    far = _darker(c.trousers, 0.7)
    canvas.stroke([saddle, legs[1][0], legs[1][1]], 0.13, far)
    for bar in ([rear, crank, bars], [rear, saddle, crank], [saddle, (0.36, 0.86)], [front, bars]):
        canvas.stroke(bar, 0.05, metal)
    canvas.stroke([(-0.32, 0.96), (-0.1, 0.96)], 0.08, tyre)
    canvas.stroke([saddle, legs[0][0], legs[0][1]], 0.15, c.trousers)
    canvas.stroke([legs[0][1], (legs[0][1][0] + 0.14, legs[0][1][1] - 0.02)], 0.09, c.shoes)
    canvas.polygon([(-0.34, 0.98), (-0.06, 0.92), (0.28, 1.32), (0.14, 1.52), (-0.04, 1.46)], c.top)
    canvas.stroke([(0.16, 1.42), (0.3, 1.18), bars], 0.1, _darker(c.top, 0.85))
