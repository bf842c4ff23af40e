# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Cars, vans and buses as boxes with sloping screens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.surface import Piece, Pieces, Texture, stack
from street_drive.textures import Canvas, Colour, noise_patch

CAR_LABEL = 8

_PAINTS: tuple[Colour, ...] = (
    (188, 190, 194), (120, 124, 130), (28, 30, 34), (230, 230, 226), (150, 22, 30), (24, 48, 110),
    (60, 92, 150), (34, 70, 54), (196, 60, 40), (120, 104, 84), (86, 88, 96), (206, 196, 168),
)  # fmt: skip
_TYRE: Colour = (20, 20, 21)
_DARK: Colour = (26, 27, 30)


@dataclass(frozen=True)
class _Shape:
    """Outline of a vehicle in metres; x runs from the rear (0) to the front (length)."""

    length: float
    width: float
    height: float
    bonnet: float
    belt: float
    boot: float
    screen_foot: float
    roof_front: float
    roof_rear: float
    rear_foot: float
    wheel: float
    tumble: float


def _draw_shape(rng: np.random.Generator, kind: str) -> _Shape:
    if kind == "bus":
        length, height = rng.uniform(8.5, 11.0), rng.uniform(2.9, 4.2)
        return _Shape(
            length, 2.5, height, 1.0, 1.1, 1.0, length, length - 0.12, 0.06, 0.0, 0.48, 0.03
        )
    if kind == "van":
        length, height = rng.uniform(4.6, 5.6), rng.uniform(1.95, 2.5)
        return _Shape(length, 1.95, height, 1.02, 1.15, 1.15, length - 0.9, length - 1.7, 0.05, 0.0,
                      0.34, 0.08)  # fmt: skip
    length, height = rng.uniform(3.6, 4.6), rng.uniform(1.38, 1.5)
    belt = 0.62 * height + rng.uniform(-0.03, 0.03)
    saloon = kind == "saloon"
    rear_foot = rng.uniform(0.55, 0.8) if saloon else rng.uniform(0.03, 0.12)
    roof_rear = rear_foot + (rng.uniform(0.6, 0.8) if saloon else rng.uniform(0.2, 0.5))
    screen = length - rng.uniform(0.95, 1.25)
    if kind == "tall":
        height += rng.uniform(0.15, 0.35)
        belt += 0.12
    return _Shape(length, rng.uniform(1.66, 1.82), height, belt - 0.22, belt, belt - 0.03, screen,
                  screen - rng.uniform(0.55, 0.8), roof_rear, rear_foot, 0.31, 0.16)  # fmt: skip


def _scaled(colour: Colour, by: float) -> Colour:
    return min(255.0, colour[0] * by), min(255.0, colour[1] * by), min(255.0, colour[2] * by)


def _side(rng: np.random.Generator, s: _Shape, paint: Colour, kind: str) -> NDArray[np.uint8]:
    """Returns the right side, front to the right, premultiplied (h, w, 4) uint8."""
    canvas = Canvas(s.length, s.height, 64.0)
    half = s.length / 2

    def at(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x - half, z) for x, z in points]

    body = [(0.02, 0.24), (0.0, s.boot - 0.06), (0.06, s.boot), (s.rear_foot, s.belt),
            (s.screen_foot, s.belt), (s.length - 0.1, s.bonnet), (s.length, s.bonnet - 0.14),
            (s.length, 0.24)]  # fmt: skip
    cabin = [(s.rear_foot, s.belt - 0.02), (s.roof_rear, s.height - 0.06),
             (s.roof_rear + 0.12, s.height), (s.roof_front - 0.12, s.height),
             (s.roof_front, s.height - 0.06), (s.screen_foot, s.belt - 0.02)]  # fmt: skip
    canvas.polygon(at(cabin), paint)
    canvas.polygon(at(body), paint)
    canvas.polygon(at([(0.02, 0.24), (0.0, 0.5), (s.length, 0.5), (s.length, 0.24)]),
                   _scaled(paint, 0.72))  # fmt: skip
    canvas.stroke(at([(0.1, s.belt - 0.1), (s.length - 0.3, s.belt - 0.16)]), 0.025,
                  _scaled(paint, 1.25))  # fmt: skip
    _side_windows(canvas, rng, s, kind, half)
    for x in (0.19 * s.length, 0.81 * s.length):
        hub = (x - half, s.wheel)
        canvas.ellipse(hub, s.wheel * 1.16, s.wheel * 1.16, (14, 14, 15))
        canvas.ellipse(hub, s.wheel, s.wheel, _TYRE)
        canvas.ellipse(hub, s.wheel * 0.62, s.wheel * 0.62, (142, 144, 148))
        canvas.ellipse(hub, s.wheel * 0.2, s.wheel * 0.2, (70, 70, 72))
    canvas.box(-half, s.boot - 0.3, -half + 0.14, s.boot - 0.06, (150, 20, 20))
    canvas.box(half - 0.22, s.bonnet - 0.2, half - 0.02, s.bonnet - 0.08, (222, 224, 226))
    rows = np.linspace(1.12, 0.8, 60, dtype=np.float32)[:, None]
    return canvas.picture(rows * (1 + 0.03 * noise_patch(rng, 60, 160, 16)))


def _side_windows(
    canvas: Canvas, rng: np.random.Generator, s: _Shape, kind: str, half: float
) -> None:
    """Draws the side windows and the door lines."""
    glass = _scaled((48, 56, 62), float(rng.uniform(0.6, 1.5)))
    low, high = s.belt + 0.02, s.height - 0.1
    if kind == "bus":
        for x in np.arange(0.4, s.length - 1.4, 1.35):
            canvas.box(float(x) - half, 1.25, float(x) + 1.25 - half, 2.25, glass)
            if s.height > 3.6:
                canvas.box(float(x) - half, 2.9, float(x) + 1.25 - half, s.height - 0.3, glass)
        canvas.box(s.length - 1.1 - half, 0.35, s.length - 0.2 - half, 2.25, glass)
        return
    rear, front = s.rear_foot + 0.14, s.screen_foot - 0.12
    lean_rear = s.roof_rear - s.rear_foot
    lean_front = s.screen_foot - s.roof_front
    middle = (s.rear_foot + s.screen_foot) / 2 + 0.05
    if kind == "van":
        rear, middle = front - 1.0, front - 1.0
        canvas.stroke([(rear - 0.1 - half, 0.4), (rear - 0.1 - half, high)], 0.02, _DARK)
    outline = [(rear, low), (rear + 0.92 * lean_rear * (kind != "van"), high),
               (front - 0.92 * lean_front, high), (front, low)]  # fmt: skip
    canvas.polygon([(x - half, z) for x, z in outline], glass)
    shine = [(middle + 0.15, low), (middle + 0.45, high), (middle + 0.6, high), (middle + 0.3, low)]
    if kind != "van":
        canvas.polygon([(x - half, z) for x, z in shine], _scaled(glass, 1.5))
        canvas.stroke([(middle - half, 0.35), (middle - half, high)], 0.05, _DARK)
        canvas.box(middle - half - 0.3, s.belt - 0.16, middle - half - 0.1, s.belt - 0.12, _DARK)


def _front_or_rear(
    rng: np.random.Generator, s: _Shape, paint: Colour, rear: bool, kind: str
) -> NDArray[np.uint8]:
    """Returns the face below the screen (a bus: all of it), premultiplied (h, w, 4) uint8."""
    height = s.height if kind == "bus" else (s.boot if rear else s.bonnet)
    canvas = Canvas(s.width, height, 70.0)
    half = s.width / 2
    for side in (-1, 1):
        x = side * (half - 0.2)
        canvas.box(x - 0.1, 0.0, x + 0.1, 0.4, _TYRE)
    canvas.box(-half + 0.12, 0.16, half - 0.12, 0.3, (12, 12, 12))
    canvas.polygon([(-half, 0.26), (half, 0.26), (half, height - 0.08), (half - 0.08, height),
                    (-half + 0.08, height), (-half, height - 0.08)], paint)  # fmt: skip
    canvas.box(-half, 0.26, half, 0.5, _scaled(paint, 0.72))
    if kind == "bus":
        glass = (40.0, 46.0, 52.0)
        canvas.box(-half + 0.1, 1.2, half - 0.1, 2.4, glass)
        if height > 3.6:
            canvas.box(-half + 0.1, 2.9, half - 0.1, height - 0.25, glass)
        canvas.box(-half + 0.4, 2.45, half - 0.4, 2.75, _DARK)
        canvas.letters(rng, (-half + 0.5, 2.5, half - 0.5, 2.7), (250, 170, 40))
    deck = 1.1 if kind == "bus" else height
    if rear:
        glow = (226.0, 30.0, 30.0) if rng.random() < 0.5 else (140.0, 20.0, 24.0)
        for side in (-1, 1):
            x = side * (half - 0.14)
            canvas.box(x - 0.11, deck - 0.4, x + 0.11, deck - 0.1, glow)
        plate: Colour = (230, 196, 60)
    else:
        lamp: Colour = (252, 250, 240) if rng.random() < 0.35 else (190, 196, 202)
        for side in (-1, 1):
            canvas.ellipse((side * (half - 0.25), deck - 0.2), 0.17, 0.1, (200, 204, 208))
            canvas.ellipse((side * (half - 0.25), deck - 0.2), 0.1, 0.08, lamp)
        canvas.box(-half + 0.5, deck - 0.28, half - 0.5, deck - 0.12, _DARK)
        canvas.box(-half + 0.3, 0.32, half - 0.3, 0.42, _DARK)
        plate = (236, 236, 232)
    canvas.box(-0.26, 0.44, 0.26, 0.56, plate)
    canvas.letters(rng, (-0.22, 0.46, 0.22, 0.54), _DARK)
    rows = np.linspace(1.1, 0.82, 40, dtype=np.float32)[:, None]
    return canvas.picture(rows * np.ones((1, 40), np.float32))


def _screen(rng: np.random.Generator, s: _Shape, paint: Colour, rear: bool) -> NDArray[np.uint8]:
    """Returns a screen with its pillars, narrowing upwards, premultiplied (h, w, 4) uint8."""
    tall = 0.8
    canvas = Canvas(s.width, tall, 70.0)
    half, top = s.width / 2, s.width / 2 - s.tumble
    canvas.polygon([(-half, 0.0), (half, 0.0), (top, tall), (-top, tall)], paint)
    glass = _scaled((54, 62, 68), float(rng.uniform(0.6, 1.4)))
    canvas.polygon([(-half + 0.1, 0.05), (half - 0.1, 0.05), (top - 0.07, tall - 0.07),
                    (-top + 0.07, tall - 0.07)], glass)  # fmt: skip
    for x in (-0.38, 0.38):  # the seats, or who sits in them
        canvas.ellipse((x * half * 1.3, 0.16), 0.14, 0.3, _scaled(glass, 0.55))
    canvas.polygon([(-half + 0.2, tall - 0.1), (0.0, tall - 0.1), (-0.35 * half, 0.3)],
                   _scaled(glass, 1.35))  # fmt: skip
    if rear:
        canvas.box(-0.16, 0.0, 0.16, 0.05, (130, 20, 20))
    return canvas.picture()


def _plain(paint: Colour) -> Texture:
    """Returns a plain painted sheet, a little darker at the edges."""
    rgba = np.full((32, 48, 4), 255, np.uint8)
    rgba[..., :3] = np.array(paint)
    rgba[:2, :, :3] = rgba[:, :1, :3] = rgba[:, -1:, :3] = np.array(paint) * 0.7
    return Texture(rgba)


def _blob() -> Texture:
    """Returns the soft dark patch under a vehicle."""
    alpha = np.zeros((48, 96), np.float32)
    alpha[8:-8, 8:-8] = 200
    rgba = np.zeros((48, 96, 4), np.uint8)
    rgba[..., 3] = cv2.GaussianBlur(alpha, (0, 0), 4.0)
    return Texture(rgba)


def make_car(rng: np.random.Generator, light: tuple[float, float, float]) -> tuple[Pieces, float]:
    """Draws a vehicle.

    Args:
        rng: source of the vehicle's looks.
        light: RGB factor of the light on upright things.

    Returns:
        Its pieces in its own axes (x forward, y left, the origin on the ground below its
        middle), and its length in metres.
    """
    kinds = ("hatch", "saloon", "tall", "van", "bus")
    kind = str(rng.choice(kinds, p=[0.4, 0.22, 0.16, 0.14, 0.08]))
    s = _draw_shape(rng, kind)
    paint = _scaled(_PAINTS[rng.integers(len(_PAINTS))], float(rng.uniform(0.8, 1.1)))
    half, w = s.length / 2, s.width / 2
    side = _side(rng, s, paint, kind)
    split = round(side.shape[0] * (1 - s.belt / s.height))
    r, g, b = light
    flank, end, top = light, (0.92 * r, 0.92 * g, 0.92 * b), (1.2 * r, 1.2 * g, 1.2 * b)
    up = s.height - s.belt
    pieces = [
        Piece((-half - 0.3, w + 0.25, 0.0), (s.length + 0.6, 0.0, 0.0), (0.0, -2 * w - 0.5, 0.0),
              _blob(), CAR_LABEL, decal=True),
    ]  # fmt: skip
    for y in (-1.0, 1.0):
        picture = side if y < 0 else side[:, ::-1]
        x, across = y * half, (-y * s.length, 0.0, 0.0)
        upper, lower = Texture(picture[:split].copy()), Texture(picture[split:].copy())
        pieces.append(Piece((x, y * (w - s.tumble), s.height), across, (0.0, y * s.tumble, -up),
                            upper, CAR_LABEL, flank))  # fmt: skip
        pieces.append(
            Piece((x, y * w, s.belt), across, (0.0, 0.0, -s.belt), lower, CAR_LABEL, flank)
        )
    for rear in (False, True):
        y = 1.0 if rear else -1.0  # the edge that is left for who looks at it
        face = _front_or_rear(rng, s, paint, rear, kind)
        tall = s.height if kind == "bus" else (s.boot if rear else s.bonnet)
        across = (0.0, -y * s.width, 0.0)
        end_x = -half if rear else half
        foot = (s.rear_foot if rear else s.screen_foot) - half
        roof = (s.roof_rear if rear else s.roof_front) - half
        pieces.append(Piece((end_x, y * w, tall), across, (0.0, 0.0, -tall), Texture(face),
                            CAR_LABEL, end))  # fmt: skip
        if kind == "bus":
            continue
        blind = kind == "van" and rear
        screen = _plain(paint) if blind else Texture(_screen(rng, s, paint, rear))
        pieces.append(Piece((roof, y * w, s.height), across, (foot - roof, 0.0, -up), screen,
                            CAR_LABEL, end))  # fmt: skip
        pieces.append(Piece((foot, y * w, s.belt), across, (end_x - foot, 0.0, tall - s.belt),
                            _plain(paint), CAR_LABEL, top))  # fmt: skip
    return stack(pieces), s.length
