# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What stands along one chunk of the street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from street_drive import furniture, people, plants
from street_drive.assets import FENCES, Assets
from street_drive.facades import Building
from street_drive.look import Look
from street_drive.path import CHUNK_M, CHUNK_NODES, STEP_M, chunk_line, rng_of
from street_drive.section import (
    BLOCK_CHUNKS,
    JUNCTION_M,
    SIDE_ROAD_END_M,
    SideSection,
    section_table,
    side_section,
)
from street_drive.shadows import shadow_piece
from street_drive.surface import Piece, Pieces, Texture, join, place, stack

BUILDING, POLE, TREE, SIGN, FENCE, PEDESTRIAN = 1, 2, 5, 6, 7, 9

UIDS_PER_CHUNK = 4096


@dataclass(frozen=True)
class Chunk:
    """One chunk of the street; positions are metres from its first node, axes the world's.

    Attributes:
        positions: (CHUNK_NODES + 1, 2) float64 nodes of the street's line.
        headings: (CHUNK_NODES + 1,) float64 radians.
        section: (2, CHUNK_NODES, 9) float32, see section.EDGES.
        pieces: everything that stands there and does not move.
    """

    positions: NDArray[np.float64]
    headings: NDArray[np.float64]
    section: NDArray[np.float32]
    pieces: Pieces


class ChunkBuilder:
    """Collects the pieces of one chunk.

    Args:
        seed: the drive's seed.
        number: number of the chunk.
        bend_rad: see path.heading.
        assets: the drive's pictures.
        look: the drive's light.
    """

    def __init__(self, seed: int, number: int, bend_rad: float, assets: Assets, look: Look) -> None:
        self.seed, self.number = seed, number
        self.assets, self.look = assets, look
        self.rng = rng_of(seed, 20, number)
        self.positions, self.headings = chunk_line(seed, bend_rad, number)
        self.pieces: list[Piece] = []
        self.cars: list[Pieces] = []
        self.first_uid = (2 * number if number >= 0 else -2 * number - 1) * UIDS_PER_CHUNK + 64

    def pose(self, s: float, d: float) -> tuple[float, float, float]:
        """Returns x, y and heading at s metres into the chunk, d metres right of the line."""
        at = s / STEP_M
        k = int(np.clip(np.floor(at), 0, CHUNK_NODES - 1))
        x, y = self.positions[k] + (at - k) * (self.positions[k + 1] - self.positions[k])
        h = float(self.headings[k] + (at - k) * (self.headings[k + 1] - self.headings[k]))
        return float(x + d * np.sin(h)), float(y - d * np.cos(h)), h

    def card(
        self, s: float, d: float, size: tuple[float, float], texture: Texture, label: int,
        bottom_m: float = 0.0, shadow: bool = True,
    ) -> None:  # fmt: skip
        """Stands a picture of size (width, height) across the street, facing back along it."""
        x, y, h = self.pose(s, d)
        width, height = size
        right = (float(np.sin(h)), float(-np.cos(h)))
        origin = (x - 0.5 * width * right[0], y - 0.5 * width * right[1], bottom_m + height)
        self.pieces.append(
            Piece(origin, (width * right[0], width * right[1], 0.0), (0.0, 0.0, -height), texture,
                  label, self.look.light_on_cards, two_sided=True)
        )  # fmt: skip
        if shadow and self.look.sunny:
            sun = self.look.sun_azimuth, self.look.sun_slope
            self.pieces.append(shadow_piece((x, y), size, texture, *sun))

    def wall(
        self, left: tuple[float, float], right: tuple[float, float], bottom_m: float, top_m: float,
        texture: Texture, label: int, two_sided: bool = False,
    ) -> None:  # fmt: skip
        """Raises an upright picture between two points on the ground, named as seen from front."""
        across = np.array([right[0] - left[0], right[1] - left[1], 0.0])
        length = float(np.linalg.norm(across))
        normal = np.array([across[1], -across[0], 0.0]) / max(length, 1e-6)
        self.pieces.append(
            Piece((left[0], left[1], top_m), (float(across[0]), float(across[1]), 0.0),
                  (0.0, 0.0, bottom_m - top_m), texture, label, self.look.light(normal), two_sided)
        )  # fmt: skip

    def along(self, side: int, s0: float, s1: float, d: float) -> tuple[tuple[float, float], ...]:
        """Returns the points at s0 and s1, left one first for who looks from the street."""
        first, last = self.pose(s0, side * d)[:2], self.pose(s1, side * d)[:2]
        return (first, last) if side < 0 else (last, first)

    def building(self, side: int, s0: float, s1: float, front_m: float, kind: Building) -> None:
        """Puts a building between s0 and s1: front, both end walls, roof and chimneys."""
        top = kind.height_m
        back = front_m + kind.depth_m
        left, right = self.along(side, s0, s1, front_m)
        far_left, far_right = self.along(side, s0, s1, back)
        self.wall(left, right, 0.0, top, kind.front, BUILDING)
        self.wall(far_left, left, 0.0, top + kind.roof_m, kind.gable, BUILDING)
        self.wall(right, far_right, 0.0, top + kind.roof_m, kind.gable, BUILDING)
        if kind.roof_m <= 0:
            return
        ridge_left, ridge_right = self.along(side, s0, s1, front_m + kind.depth_m / 2)
        across = (right[0] - left[0], right[1] - left[1], 0.0)
        down = (left[0] - ridge_left[0], left[1] - ridge_left[1], -kind.roof_m)
        normal = np.cross(down, across)
        light = self.look.light(normal / np.linalg.norm(normal))
        origin = (*ridge_left, top + kind.roof_m)
        self.pieces.append(Piece(origin, across, down, kind.roof, BUILDING, light))
        if kind.chimney is not None:
            high = top + kind.roof_m
            self.wall(ridge_left, ridge_right, high - 0.3, high + 1.3, kind.chimney, BUILDING, True)

    def fence(self, side: int, s0: float, s1: float, d: float, kind: str) -> None:
        """Runs a fence or a hedge along the street, in lengths of 8 m."""
        number = int(self.rng.integers(3))
        s = s0
        while s + 2.0 < s1:
            end = min(s + furniture.FENCE_LENGTH_M, s1)
            left, right = self.along(side, s, end, d)
            if kind == "hedge":
                self.wall(left, right, 0.0, 1.6, self.assets.hedge(number), TREE, True)
            else:
                label = BUILDING if kind == "wall" else FENCE
                texture = self.assets.fence(kind, number)
                self.wall(left, right, 0.0, FENCES[kind], texture, label, True)
            s = end

    def post_with_signs(self, side: int, s: float, d: float) -> None:
        """Puts up a post with one or two signs, or a traffic light."""
        kinds = ("round", "triangle", "plate", "direction", "stop")
        kind = str(self.rng.choice(kinds, p=[0.34, 0.22, 0.22, 0.12, 0.1]))
        self._post(side, s, d, [kind] + (["plate"] if self.rng.random() < 0.3 else []))

    def _post(self, side: int, s: float, d: float, kinds: list[str]) -> None:
        bottom = float(self.rng.uniform(1.9, 2.5))
        low = bottom
        for kind in kinds:
            size = furniture.SIGN_SIZES_M[kind]
            texture = self.assets.sign(kind, int(self.rng.integers(Assets.KINDS)))
            self.card(s - 0.08, side * d, size, texture, SIGN, bottom_m=low, shadow=False)
            low += size[1] + 0.06
        height = round(low + 0.1, 1)
        size = (furniture.POST_WIDTH_M, height)
        self.card(s, side * d, size, self.assets.post(height, 0), POLE)

    def traffic_light(self, side: int, s: float, d: float) -> None:
        """Puts up a traffic light."""
        self._post(side, s, d, ["light"])

    def done(self, heights: dict[int, NDArray[np.float32]]) -> Chunk:
        """Returns the finished chunk."""
        standing = stack(self.pieces, self.first_uid)
        section = section_table(self.seed, self.number, heights)
        return Chunk(self.positions, self.headings, section, join([standing, *self.cars]))


def build_chunk(seed: int, number: int, bend_rad: float, assets: Assets, look: Look) -> Chunk:
    """Builds one chunk of the street, the same one whenever asked."""
    builder = ChunkBuilder(seed, number, bend_rad, assets, look)
    block, within = divmod(number, BLOCK_CHUNKS)
    heights = {}
    for side in (-1, 1):
        section = side_section(seed, block, side)
        start = 0.0
        if within == 0 and section.junction:
            start = JUNCTION_M[1] + 3.5
            _junction(builder, section, side)
        heights[side] = _fronts(builder, section, side, start)
        _roadside(builder, section, side, start)
        if section.parks and within:
            _parked_cars(builder, section, side)
    return builder.done(heights)


def _fronts(
    builder: ChunkBuilder, section: SideSection, side: int, start: float
) -> NDArray[np.float32]:
    """Lines a side with buildings or trees and returns their heights at the nodes."""
    rng, assets = builder.rng, builder.assets
    heights = np.zeros(CHUNK_NODES, np.float32)
    if section.kind == "park":
        for d in (section.front_m - 10.0, section.front_m, section.front_m + 7.0):
            for s in np.arange(start + 3.0, CHUNK_M, 7.0):
                at = float(s + rng.uniform(-2, 2)), side * (d + float(rng.uniform(-3, 3)))
                _tree(builder, *at)
        builder.fence(side, start, CHUNK_M, section.front_m + 12.0, "hedge")
        return heights
    kind = {"shops": "shop", "terrace": "terrace", "houses": "house", "blocks": "block"}
    chosen: list[Building] = []
    gap = float(rng.uniform(2.0, 6.0)) if section.kind in ("houses", "blocks") else 0.0
    length = 0.0
    while length < CHUNK_M - start - 5.0:
        one = assets.building(kind[section.kind], int(rng.integers(Assets.KINDS)))
        chosen.append(one)
        length += one.length_m + gap
    stretch = (CHUNK_M - start) / length
    s = start
    for one in chosen:
        end = s + one.length_m * stretch
        set_in = section.front_m + (float(rng.uniform(0, 1.5)) if gap else 0.0)
        builder.building(side, s, end, set_in, one)
        heights[int(s / STEP_M) : int(end / STEP_M)] = one.height_m + 0.5 * one.roof_m
        if gap:
            _tree(builder, end + gap / 2, side * (section.front_m + 6.0))
            builder.fence(side, end, end + gap * stretch, section.front_m + 1.0, "boards")
        elif section.kind == "shops" and rng.random() < 0.4:
            size = furniture.SIGN_SIZES_M["hanging"]
            sign = assets.sign("hanging", int(rng.integers(Assets.KINDS)))
            builder.card((s + end) / 2, side * (section.front_m - 0.5), size, sign, SIGN,
                         bottom_m=2.9, shadow=False)  # fmt: skip
        s = end + gap * stretch
    return heights


def _tree(builder: ChunkBuilder, s: float, d: float) -> None:
    """Plants a tree of any size."""
    k = float(builder.rng.uniform(0.6, 1.35))
    texture = builder.assets.tree(int(builder.rng.integers(Assets.KINDS)))
    size = (
        k * plants.TREE_WIDTH_M * float(builder.rng.uniform(0.85, 1.2)),
        k * plants.TREE_HEIGHT_M,
    )
    builder.card(s, d, size, texture, TREE)


def _junction(builder: ChunkBuilder, section: SideSection, side: int) -> None:
    """Closes a side road with houses along it and across its end, and signs it."""
    near, far = JUNCTION_M[0] - 3.0, JUNCTION_M[1] + 3.5
    d = section.front_m + 9.0
    while d < SIDE_ROAD_END_M and section.kind != "park":
        one = builder.assets.building("terrace", int(builder.rng.integers(Assets.KINDS)))
        points = [builder.pose(far, side * e)[:2] for e in (d, d + one.length_m)]
        left, right = points if side > 0 else points[::-1]
        builder.wall(left, right, 0.0, one.height_m, one.front, BUILDING)
        d += one.length_m
    end = builder.assets.building("terrace", int(builder.rng.integers(Assets.KINDS)))
    builder.building(side, near - 8.0, near + 6.0, SIDE_ROAD_END_M + 6.0, end)
    builder.building(side, near + 6.0, far + 8.0, SIDE_ROAD_END_M + 6.0, end)
    corner = section.kerb_m + 1.0
    if builder.rng.random() < 0.5:
        builder.traffic_light(side, JUNCTION_M[1] + 5.0, corner)
        builder.traffic_light(-side, JUNCTION_M[0] - 2.0, corner)
    else:
        builder.post_with_signs(side, JUNCTION_M[1] + 5.0, corner)


def _roadside(builder: ChunkBuilder, section: SideSection, side: int, start: float) -> None:
    """Puts up lamps, signs, bollards, street trees, fences and people along the pavement."""
    rng, assets = builder.rng, builder.assets
    kerb, pavement = section.kerb_m, section.kerb_m + section.verge_m
    first = start + 2.5 if start else 0.0
    for s in np.arange(4.0 if side < 0 else 20.0, CHUNK_M, 32.0):
        if s > first:
            size = (furniture.LAMP_WIDTH_M, furniture.LAMP_HEIGHT_M)
            builder.card(float(s), side * (kerb + 0.5), size, assets.lamp_post(side > 0), POLE)
    for _ in range(int(rng.integers(0, 3))):
        builder.post_with_signs(side, float(rng.uniform(first, CHUNK_M)), kerb + 0.45)
    if section.trees_every_m:
        for s in np.arange(first + 3.0, CHUNK_M, section.trees_every_m):
            _tree(builder, float(s), side * (kerb + 0.5 + 0.5 * section.verge_m + 0.3))
    _road_surface(builder, side, kerb)
    if section.railing:
        builder.fence(side, first + 2.0, CHUNK_M - 6.0, kerb + 0.3, "bars")
    elif rng.random() < 0.25:
        for s in np.arange(first + 1.0, CHUNK_M, 2.2):
            size = (1.2 * furniture.POST_WIDTH_M, 1.0)
            builder.card(float(s), side * (kerb + 0.35), size, assets.post(1.0, 1), POLE)
    if section.garden:
        at = kerb + section.verge_m + section.pavement_m + 0.15
        builder.fence(side, start, CHUNK_M, at, section.garden)
    for _ in range(int(rng.poisson(0.7 * builder.look.crowd))):
        d = pavement + float(rng.uniform(0.4, section.pavement_m - 0.3))
        size = (people.PERSON_WIDTH_M, people.PERSON_HEIGHT_M)
        view = str(rng.choice(["front", "back", "side"]))
        person = assets.walker(int(rng.integers(Assets.KINDS)), people.PHASES, view)
        builder.card(float(rng.uniform(first, CHUNK_M)), side * d, size, person, PEDESTRIAN)


def _road_surface(builder: ChunkBuilder, side: int, kerb: float) -> None:
    """Lays a manhole cover and a mended patch into the road."""
    rng = builder.rng
    for kind, chance in (("manhole", 0.7), ("patch", 0.6)):
        if rng.random() > chance:
            continue
        x, y, h = builder.pose(float(rng.uniform(0, CHUNK_M)), side * float(rng.uniform(0.4, kerb)))
        long, wide = (0.7, 0.7) if kind == "manhole" else rng.uniform((1.0, 0.6), (6.0, 1.6))
        c, s = float(np.cos(h)), float(np.sin(h))
        texture = builder.assets.cover(kind)
        builder.pieces.append(
            Piece((x + long * c, y + long * s, 0.0), (wide * s, -wide * c, 0.0),
                  (-long * c, -long * s, 0.0), texture, 0, builder.look.light_on_cards,
                  two_sided=True, decal=True)
        )  # fmt: skip


def _parked_cars(builder: ChunkBuilder, section: SideSection, side: int) -> None:
    """Parks cars along the kerb, facing the way the near lane goes."""
    rng = builder.rng
    busy = rng.uniform(0.3, 0.95)
    for slot, s in enumerate(np.arange(3.0, CHUNK_M - 3.0, 6.0)):
        if rng.random() > busy:
            continue
        body, length = builder.assets.car(int(rng.integers(Assets.CARS)))
        if length > 5.0:
            continue
        x, y, h = builder.pose(float(s + rng.uniform(-0.4, 0.4)), side * (section.kerb_m - 1.05))
        oncoming = (side != builder.look.traffic_side) != (rng.random() < 0.15)
        pose = (x, y, h + (np.pi if oncoming else 0.0))
        uid = builder.first_uid + 2048 + 64 * (slot + 16 * (side > 0))
        builder.cars.append(place(body, uid, pose, pose))
