# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Everything that moves: cars ahead and oncoming, cyclists, people walking and crossing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from street_drive import people
from street_drive.assets import Assets
from street_drive.look import Look
from street_drive.path import CHUNK_M, rng_of
from street_drive.section import BLOCK_CHUNKS, side_section
from street_drive.shadows import shadow_piece
from street_drive.surface import Piece, Pieces, Pose, Texture, place, stack
from street_drive.travel import Travel
from street_drive.window import Window

PEDESTRIAN, BICYCLIST = 9, 10

VIEW_M = 170.0
_UID_BASE = 1 << 40
_UID_KIND = 1 << 32

_WALKER_M = (people.PERSON_WIDTH_M, people.PERSON_HEIGHT_M)
_CYCLIST_M = (people.CYCLIST_WIDTH_M, people.CYCLIST_HEIGHT_M)

Track = Callable[[float], Pose]
"""Where a thing is at a time in seconds."""


@lru_cache(maxsize=2048)
def _dice(seed: int, purpose: int, number: int) -> tuple[float, ...]:
    """Returns six numbers from 0 to 1 that belong to one moving thing."""
    return tuple(rng_of(seed, purpose, number).random(6).tolist())


class Traffic:
    """The moving things of one drive, each a function of time.

    Those that meet the camera from ahead move in slots of a lane that shifts at its own
    speed; cars ahead and people who cross follow the camera's own travel, so that nobody is
    run over, however the drive stops and goes.

    Args:
        seed: the drive's seed.
        assets: the drive's pictures.
        look: the drive's light and sides.
        travel: distance in metres that the camera has come at a time in seconds.
    """

    def __init__(self, seed: int, assets: Assets, look: Look, travel: Travel) -> None:
        self._seed, self._assets, self._look, self._travel = seed, assets, look, travel
        self._lane_m = side_section(seed, 0, 1).lane_m
        self._oncoming_m_s = rng_of(seed, 40, 0).uniform(7.0, 12.0)

    def bodies(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """Returns what moves within sight at time_s, with its poses then and at before_s."""
        result = []
        kinds = (self._oncoming, self._ahead, self._cyclists, self._walkers, self._crossing)
        for kind, things in enumerate(kinds):
            for number, body, track in things(time_s, window):
                uid = _UID_BASE + _UID_KIND * kind + 64 * number
                result.append(place(body, uid, track(time_s), track(before_s)))
        return result

    def _slots(self, time_s: float, speed_m_s: float, slot_m: float) -> range:
        """Returns the numbers of the slots of a lane that are in sight."""
        low = self._travel(time_s) - 12.0 - speed_m_s * time_s
        return range(int(np.floor(low / slot_m)), int(np.floor((low + VIEW_M) / slot_m)) + 1)

    def _oncoming(self, time_s: float, window: Window) -> Iterator[tuple[int, Pieces, Track]]:
        """Cars on the other side of the road."""
        speed, slot_m = -self._oncoming_m_s, 22.0
        d = -self._look.traffic_side * 0.52 * self._lane_m
        for slot in self._slots(time_s, speed, slot_m):
            chance, where, which, *_ = _dice(self._seed, 41, slot)
            if chance > 0.4 * self._look.traffic:
                continue
            start = (slot + 0.3 + 0.4 * where) * slot_m

            def track(t: float, start: float = start) -> Pose:
                x, y, h = window.pose(start + speed * t, d)
                return x, y, h + np.pi

            body, _ = self._assets.car(int(which * Assets.CARS))
            yield slot, body, track

    def _ahead(self, time_s: float, window: Window) -> Iterator[tuple[int, Pieces, Track]]:
        """Up to two cars ahead of the camera, whose distance swings as the drive goes on."""
        d = self._look.traffic_side * 0.52 * self._lane_m
        gaps: list[tuple[float, float, float, float]] = []
        for k in range(2):
            how_often, phase, swing, which, *_ = _dice(self._seed, 42, k)
            body, length = self._assets.car(int(which * Assets.CARS))
            gaps.append((9.0 + 0.5 * length, 30.0 + 30.0 * swing, 500.0 + 300.0 * how_often,
                         2 * np.pi * phase))  # fmt: skip

            def along(t: float, gaps: tuple[tuple[float, ...], ...] = tuple(gaps)) -> float:
                s = self._travel(t)
                return s + sum(
                    shortest + wide * (1.0 + float(np.sin(2 * np.pi * s / period + shift)))
                    for shortest, wide, period, shift in gaps
                )

            def track(t: float, along: Callable[[float], float] = along) -> Pose:
                return window.pose(along(t), d)

            if along(time_s) - self._travel(time_s) < VIEW_M - 12.0:
                yield k, body, track

    def _cyclists(self, time_s: float, window: Window) -> Iterator[tuple[int, Pieces, Track]]:
        """Cyclists at the edge of both lanes."""
        for way, speed, view in ((0, 4.2, "back"), (1, -4.6, "front")):
            side = self._look.traffic_side * (1 - 2 * way)
            for slot in self._slots(time_s, speed, 30.0):
                chance, where, aside, who, *_ = _dice(self._seed, 43 + way, slot)
                if chance > 0.42 * self._look.crowd:
                    continue
                start = (slot + 0.2 + 0.6 * where) * 30.0
                d = side * (self._lane_m - 0.15 - 0.35 * aside)

                def track(t: float, at: float = start, v: float = speed, d: float = d) -> Pose:
                    return window.pose(at + v * t, d)

                phase = int((start + speed * time_s) / 0.8 * people.PHASES) % people.PHASES
                texture = self._assets.cyclist(int(who * Assets.KINDS), phase, view)
                yield (
                    2 * slot + way,
                    self._card(texture, _CYCLIST_M, BICYCLIST, track(time_s)),
                    track,
                )

    def _walkers(self, time_s: float, window: Window) -> Iterator[tuple[int, Pieces, Track]]:
        """People walking along both pavements, both ways, some in pairs."""
        for lane, (side, speed) in enumerate(((-1, 1.2), (-1, -1.35), (1, 1.3), (1, -1.15))):
            for slot in self._slots(time_s, speed, 11.0):
                chance, where, aside, *who, pair = _dice(self._seed, 45 + lane, slot)
                if chance > 0.3 * self._look.crowd:
                    continue
                start = (slot + where) * 11.0
                phase = int((start + speed * time_s) / 1.45 * people.PHASES) % people.PHASES
                for k in range(1 + int(pair < 0.3)):

                    def track(
                        t: float, at: float = start, v: float = speed, side: int = side,
                        share: float = aside, beside: float = 0.65 * k,
                    ) -> Pose:  # fmt: skip
                        s = at + v * t
                        return window.pose(s, side * (self._pavement(s, side, share) + beside))

                    view = "back" if speed > 0 else "front"
                    texture = self._assets.walker(int(who[k] * Assets.KINDS), phase, view)
                    body = self._card(texture, _WALKER_M, PEDESTRIAN, track(time_s))
                    yield 8 * slot + 2 * lane + k, body, track

    def _pavement(self, s: float, side: int, share: float) -> float:
        """Returns how far from the street's line a walker's track on the pavement runs."""
        section = side_section(self._seed, int(np.floor(s / CHUNK_M)) // BLOCK_CHUNKS, side)
        inner = section.kerb_m + section.verge_m + 0.5
        return inner + share * max(0.0, section.pavement_m - 1.5)

    def _crossing(self, time_s: float, window: Window) -> Iterator[tuple[int, Pieces, Track]]:
        """People and cyclists who cross the road while the camera comes nearer."""
        here, every = self._travel(time_s), 45.0
        for number in range(int(here // every), int((here + 110.0) // every) + 1):
            chance, where, mount, way, far, who = _dice(self._seed, 50, number)
            s = (number + 0.2 + 0.6 * where) * every
            if chance > 0.45 * self._look.crowd or s < here:
                continue
            rides, to_right = mount < 0.35, way < 0.5
            half = (2.2 if rides else 1.6) * self._lane_m * (1 if to_right else -1)
            begin, end = 45.0 + 30.0 * far, 14.0 + 10.0 * far

            def offset(t: float, s: float = s, half: float = half, begin: float = begin,
                       end: float = end) -> float:  # fmt: skip
                left = (s - self._travel(t) - end) / (begin - end)
                return half * (1.0 - 2.0 * float(np.clip(left, 0.0, 1.0)))

            def track(t: float, s: float = s, d: Callable[[float], float] = offset) -> Pose:
                return window.pose(s, d(t))

            person = int(who * Assets.KINDS)
            gone = offset(time_s) + abs(half)
            stands = not 0.0 < gone < 2.0 * abs(half)
            if rides and stands:
                continue
            if rides:
                phase = int(gone / 0.8 * people.PHASES) % people.PHASES
                texture = self._assets.cyclist(person, phase, "side")
                size, label = _CYCLIST_M, BICYCLIST
            else:
                stride = int(gone / 1.45 * people.PHASES) % people.PHASES
                texture = self._assets.walker(person, people.PHASES if stands else stride, "side")
                size, label = _WALKER_M, PEDESTRIAN
            yield number, self._card(texture, size, label, track(time_s), not to_right), track

    def _card(
        self, texture: Texture, size: tuple[float, float], label: int, pose: Pose,
        mirrored: bool = False,
    ) -> Pieces:  # fmt: skip
        """Returns a picture that stands across its body's x axis, and its shadow at a pose.

        Mirrored, the picture's right side is to the left of who looks along the x axis.
        """
        half = size[0] / 2 * (-1 if mirrored else 1)
        pieces = [
            Piece((0.0, half, size[1]), (0.0, -2 * half, 0.0), (0.0, 0.0, -size[1]), texture,
                  label, self._look.light_on_cards, two_sided=True)
        ]  # fmt: skip
        if self._look.sunny:
            azimuth = self._look.sun_azimuth - pose[2]
            pieces.append(shadow_piece((0.0, 0.0), size, texture, azimuth, self._look.sun_slope))
        return stack(pieces)
