# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The stock of pictures of one drive, drawn when first needed and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from street_drive import furniture, people, plants
from street_drive.cars import make_car
from street_drive.facades import Building, make_building
from street_drive.look import Look
from street_drive.path import rng_of
from street_drive.surface import Pieces, Texture

_T = TypeVar("_T")

FENCES = {
    "bars": 1.1,
    "mesh": 1.9,
    "boards": 1.7,
    "wall": 1.2,
}
"""Height in metres of each kind of fence."""

_TREES = (plants.leafy_tree, plants.bare_tree, plants.leafy_tree, plants.bare_tree, plants.conifer)


class Assets:
    """Pictures of one drive; each is drawn once, from the drive's seed and its own name.

    Args:
        seed: the drive's seed.
        look: the drive's light.
    """

    KINDS = 8
    """Buildings of each kind, people, trees and signs of each kind."""

    CARS = 14

    def __init__(self, seed: int, look: Look) -> None:
        self._seed = seed
        self._look = look
        self._kept: dict[tuple[str, int, str], object] = {}

    def _keep(
        self, kind: str, number: int, detail: str, make: Callable[[np.random.Generator], _T]
    ) -> _T:
        key = (kind, number, detail)
        if key not in self._kept:
            purpose = 1000 + int.from_bytes(kind.encode()[:6], "big")
            self._kept[key] = make(rng_of(self._seed, purpose, number))
        return cast(_T, self._kept[key])

    def building(self, kind: str, number: int) -> Building:
        """Returns a building of kind "shop", "terrace", "house" or "block"."""
        return self._keep(kind, number, "", lambda rng: make_building(rng, kind))

    def tree(self, number: int) -> Texture:
        """Returns a tree; four in five stand in leaf or bare, one is a conifer."""
        make = _TREES[number % len(_TREES)]
        return self._keep("tree", number, "", lambda rng: Texture(make(rng)))

    def hedge(self, number: int) -> Texture:
        """Returns a hedge."""
        return self._keep("hedge", number, "", lambda rng: Texture(plants.hedge(rng)))

    def walker(self, number: int, phase: int, view: str) -> Texture:
        """Returns one moment of a person's stride."""

        def make(rng: np.random.Generator) -> Texture:
            return Texture(people.walker(people.dress(rng), phase, view))

        return self._keep("walker", number, f"{phase} {view}", make)

    def cyclist(self, number: int, phase: int, view: str) -> Texture:
        """Returns one moment of a cyclist's pedalling."""

        def make(rng: np.random.Generator) -> Texture:
            return Texture(people.cyclist(people.dress(rng), phase, view))

        return self._keep("cycle", number, f"{phase} {view}", make)

    def car(self, number: int) -> tuple[Pieces, float]:
        """Returns a vehicle's pieces and its length."""
        light = self._look.light_on_cards
        return self._keep("car", number, "", lambda rng: make_car(rng, light))

    def sign(self, kind: str, number: int) -> Texture:
        """Returns a sign of a kind in furniture.SIGN_SIZES_M."""
        return self._keep(kind, number, "", lambda rng: Texture(furniture.sign(rng, kind)))

    def lamp_post(self, left: bool) -> Texture:
        """Returns the drive's street lamp with its arm to the left or to the right."""

        def make(rng: np.random.Generator) -> Texture:
            picture: NDArray[np.uint8] = furniture.lamp_post(rng)
            return Texture(picture if left else picture[:, ::-1].copy())

        return self._keep("lamp", 0, "left" if left else "right", make)

    def post(self, height_m: float, number: int) -> Texture:
        """Returns a straight post."""
        name = f"{height_m:.1f}"
        return self._keep("post", number, name, lambda rng: Texture(furniture.post(rng, height_m)))

    def cover(self, kind: str) -> Texture:
        """Returns what lies in the road: a "manhole" or a "patch"."""
        return self._keep(kind, 0, "", lambda rng: Texture(furniture.cover(rng, kind)))

    def fence(self, kind: str, number: int) -> Texture:
        """Returns 8 m of fence of a kind in FENCES."""
        see_through = kind in ("bars", "mesh")

        def make(rng: np.random.Generator) -> Texture:
            return Texture(furniture.fence(rng, kind, FENCES[kind]), filled=see_through)

        return self._keep("f" + kind, number, "", make)
