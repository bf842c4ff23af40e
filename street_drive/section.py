# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The street's cross section: where road, pavement, grass and buildings lie, metre by metre."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from street_drive.path import CHUNK_M, CHUNK_NODES, STEP_M, rng_of

BLOCK_CHUNKS = 3
"""Chunks between two possible junctions."""

JUNCTION_M = (3.0, 11.0)
"""Where, from the start of a block, a side road leaves."""

SIDE_ROAD_END_M = 48.0
_CORNER_M = 4.0

_KINDS = ("shops", "terrace", "houses", "park", "blocks")


@dataclass(frozen=True)
class SideSection:
    """One side of a block; distances in metres.

    Attributes:
        kind: "shops", "terrace", "houses", "park" or "blocks".
        lane_m: distance from the street's line to the edge of the traffic lane.
        kerb_m: distance from the line to the kerb, larger where cars may park.
        verge_m: width of the grass between kerb and pavement.
        pavement_m: width of the pavement.
        setback_m: distance from the pavement to the fronts of the buildings.
        garden: boundary of the front gardens: "bars", "mesh", "boards", "wall", "hedge" or "".
        railing: a guard rail stands at the kerb.
        yellow: yellow lines run along the kerb.
        junction: a side road leaves at the start of the block.
        trees_every_m: distance of the street trees, 0 for none.
    """

    kind: str
    lane_m: float
    kerb_m: float
    verge_m: float
    pavement_m: float
    setback_m: float
    garden: str
    railing: bool
    yellow: bool
    junction: bool
    trees_every_m: float

    @property
    def front_m(self) -> float:
        """Distance of the fronts from the street's line."""
        return self.kerb_m + self.verge_m + self.pavement_m + self.setback_m

    @property
    def parks(self) -> bool:
        """Whether cars park along the kerb."""
        return self.kerb_m > self.lane_m + 1.0


@lru_cache(maxsize=256)
def side_section(seed: int, block: int, side: int) -> SideSection:
    """Draws one side (-1 left, 1 right) of a block."""
    lane_m = rng_of(seed, 10, 0).uniform(2.7, 3.6)
    mix = rng_of(seed, 11, 0).dirichlet(np.full(len(_KINDS), 1.5))
    rng = rng_of(seed, 12 + (side > 0), block)
    kind = _KINDS[rng.choice(len(_KINDS), p=0.5 * mix + 0.5 / len(_KINDS))]
    parks = rng.random() < 0.45
    grassy = kind in ("houses", "park") and rng.random() < 0.5
    setbacks = {"shops": (0.0, 0.6), "terrace": (0.0, 2.5), "houses": (2.5, 6.0),
                "park": (16.0, 22.0), "blocks": (0.5, 3.5)}  # fmt: skip
    setback = rng.uniform(*setbacks[kind])
    bounds = {"park": ("bars", "bars", "mesh", "wall", "hedge"),
              "blocks": ("mesh", "bars", "wall", "")}  # fmt: skip
    choices = bounds.get(kind, ("bars", "boards", "wall", "hedge", "hedge", "bars"))
    garden = str(rng.choice(choices)) if setback > 1.4 else ""
    trees = rng.uniform(9.0, 22.0) if grassy or rng.random() < 0.35 else 0.0
    return SideSection(
        kind=kind,
        lane_m=lane_m,
        kerb_m=lane_m + (2.15 if parks else 0.35),
        verge_m=rng.uniform(1.2, 3.0) if grassy else 0.0,
        pavement_m=rng.uniform(1.8, 5.0),
        setback_m=setback,
        garden=garden,
        railing=bool(not parks and not grassy and rng.random() < 0.3),
        yellow=bool(not parks and rng.random() < 0.5),
        junction=bool(rng.random() < 0.5),
        trees_every_m=trees,
    )


EDGES, FRONTS, FLAGS = slice(0, 4), slice(4, 6), slice(6, 9)
"""Columns of a chunk's cross section: distances from the street's line of the kerb, of the end
of the grass beside it and of the end of the pavement, and whether gardens follow; distance and
height of the fronts; whether there are parking bays, yellow lines, a zebra crossing."""

_COLUMNS = 9
_ZEBRA_M = (18.0, 21.2)


def section_table(
    seed: int, number: int, heights: dict[int, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Returns the cross section at the nodes of a chunk.

    Args:
        seed: the drive's seed.
        number: number of the chunk.
        heights: for both sides, (CHUNK_NODES,) float32 heights of the fronts in metres.

    Returns:
        (2, CHUNK_NODES, 9) float32: left and right side, nodes, columns EDGES, FRONTS, FLAGS.
    """
    block, within = divmod(number, BLOCK_CHUNKS)
    at = within * CHUNK_M + np.arange(CHUNK_NODES) * STEP_M
    table = np.empty((2, CHUNK_NODES, _COLUMNS), np.float32)
    zebra = rng_of(seed, 14, number).random() < 0.3
    local = at - within * CHUNK_M
    for row, side in enumerate((-1, 1)):
        now, before = side_section(seed, block, side), side_section(seed, block - 1, side)
        blend = np.clip((at - 2.0) / 10.0, 0.0, 1.0)
        blend = blend * blend * (3.0 - 2.0 * blend)
        kerb = before.kerb_m + (now.kerb_m - before.kerb_m) * blend
        verge = before.verge_m + (now.verge_m - before.verge_m) * blend
        pavement = before.pavement_m + (now.pavement_m - before.pavement_m) * blend
        away = np.full_like(at, np.inf)
        if now.junction:
            away = np.maximum(JUNCTION_M[0] - at, at - JUNCTION_M[1])
            inward = np.clip(_CORNER_M - away, 0.0, _CORNER_M)
            kerb = kerb + _CORNER_M - np.sqrt(_CORNER_M**2 - inward**2)
            kerb = np.where(away <= 0, SIDE_ROAD_END_M, kerb)
        open_road = away < 6.0
        table[row, :, 0] = kerb
        table[row, :, 1] = kerb + np.where(open_road, 0.0, verge)
        table[row, :, 2] = kerb + verge + pavement
        table[row, :, 3] = now.kind in ("houses", "park")
        table[row, :, 4] = now.front_m
        table[row, :, 5] = heights[side]
        table[row, :, 6] = now.parks and number % BLOCK_CHUNKS != 0
        table[row, :, 7] = now.yellow & ~open_road
        table[row, :, 8] = zebra & (local >= _ZEBRA_M[0]) & (local < _ZEBRA_M[1])
    return table
