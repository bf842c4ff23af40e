# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Everything that moves: cars ahead and oncoming, cyclists, people walking and crossing."""

from __future__ import annotations

import numpy as np

from gsvnet_model.street_drive import people
from gsvnet_model.street_drive.assets import Assets
from gsvnet_model.street_drive.look import Look
from gsvnet_model.street_drive.path import CHUNK_M, rng_of
from gsvnet_model.street_drive.section import BLOCK_CHUNKS, side_section
from gsvnet_model.street_drive.surface import Piece, Pieces, Texture, place, stack
from gsvnet_model.street_drive.travel import Travel
from gsvnet_model.street_drive.window import Window

PEDESTRIAN, BICYCLIST = 9, 10

VIEW_M = 170.0
_UID_BASE = 1 << 40


class Traffic:
    """The moving things of one drive, each a function of time.

    Those that meet the camera from ahead move in slots of a lane that shifts at its own
    speed; cars ahead and people who cross follow the camera's own travel, so that nobody is
    run over, however the drive stops and goes.

    Args:
        seed: the drive's seed.
        assets: the drive's pictures.
        look: the drive's light and sides.
        travel: how far the camera has come at a time.
    """

    def __init__(self, seed: int, assets: Assets, look: Look, travel: Travel) -> None:
        self._seed, self._assets, self._look, self._travel = seed, assets, look, travel
        self._lane_m = side_section(seed, 0, 1).lane_m
        self._oncoming_m_s = rng_of(seed, 40, 0).uniform(7.0, 12.0)

    def bodies(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """Returns what moves within sight at time_s, with its poses then and at before_s."""
        return [
            *self._oncoming(time_s, before_s, window),
            *self._ahead(time_s, before_s, window),
            *self._cyclists(time_s, before_s, window),
            *self._walkers(time_s, before_s, window),
            *self._crossing(time_s, before_s, window),
        ]

    def _slots(self, time_s: float, speed_m_s: float, slot_m: float) -> range:
        """Returns the numbers of the slots of a lane that are in sight."""
        low = self._travel(time_s) - 12.0 - speed_m_s * time_s
        return range(int(np.floor(low / slot_m)), int(np.floor((low + VIEW_M) / slot_m)) + 1)

    def _car(
        self, number: int, uid: int, now: tuple[float, float, float],
        before: tuple[float, float, float],
    ) -> Pieces:  # fmt: skip
        pieces, _ = self._assets.car(number)
        return place(stack(pieces, _UID_BASE + uid, now, before), now)

    def _oncoming(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """Cars on the other side of the road."""
        speed, slot_m = -self._oncoming_m_s, 22.0
        d = -self._look.traffic_side * 0.52 * self._lane_m
        result = []
        for slot in self._slots(time_s, speed, slot_m):
            rng = rng_of(self._seed, 41, slot)
            if rng.random() > 0.4 * self._look.traffic:
                continue
            start = (slot + 0.5 + rng.uniform(-0.2, 0.2)) * slot_m
            poses = []
            for t in (time_s, before_s):
                x, y, h = window.pose(start + speed * t, d)
                poses.append((x, y, h + np.pi))
            uid = (slot % (1 << 20)) * 64
            result.append(self._car(int(rng.integers(Assets.CARS)), uid, poses[0], poses[1]))
        return result

    def _ahead(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """Up to two cars ahead of the camera, whose distance swings as the drive goes on."""
        d = self._look.traffic_side * 0.52 * self._lane_m
        result = []
        for k in range(2):
            rng = rng_of(self._seed, 42, k)
            period, phase = rng.uniform(500.0, 800.0), rng.uniform(0, 2 * np.pi)
            shortest, swing = 10.0 + 14.0 * k, rng.uniform(30.0, 60.0)

            def at(t: float, p: float = period, f: float = phase, near: float = shortest,
                   wide: float = swing) -> float:  # fmt: skip
                s = self._travel(t)
                return s + near + wide * (1.0 + float(np.sin(2 * np.pi * s / p + f)))

            s_now = at(time_s)
            if s_now - self._travel(time_s) > VIEW_M - 12.0:
                continue
            poses = [window.pose(at(t), d) for t in (time_s, before_s)]
            number = int(rng.integers(Assets.CARS))
            result.append(self._car(number, (1 << 27) + 64 * k, poses[0], poses[1]))
        return result

    def _card(
        self, texture: Texture, size: tuple[float, float], label: int, uid: int,
        now: tuple[float, float, float], before: tuple[float, float, float], mirrored: bool = False,
    ) -> Pieces:  # fmt: skip
        """Stands a picture across its body's x axis; mirrored, its right side is its left."""
        half = size[0] / 2 * (-1 if mirrored else 1)
        card = Piece((0.0, half, size[1]), (0.0, -2 * half, 0.0), (0.0, 0.0, -size[1]), texture,
                     label, self._look.light_on_cards, two_sided=True)  # fmt: skip
        pieces = [card]
        if self._look.sunny:
            pieces.append(self._shadow(texture, size, now[2]))
        return place(stack(pieces, _UID_BASE + uid, now, before), now)

    def _shadow(self, texture: Texture, size: tuple[float, float], yaw: float) -> Piece:
        """Returns the shadow on the ground of a card, in its body's axes."""
        azimuth = self._look.sun_azimuth - yaw
        away = (-float(np.cos(azimuth)), -float(np.sin(azimuth)))
        width, reach = size[0], min(size[1] / self._look.sun_slope, 2 * size[1])
        across = (-away[1] * width, away[0] * width, 0.0)
        origin = (reach * away[0] - across[0] / 2, reach * away[1] - across[1] / 2, 0.0)
        along = (-reach * away[0], -reach * away[1], 0.0)
        return Piece(origin, across, along, texture.shadow, 0, two_sided=True, decal=True)

    def _cyclists(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """Cyclists at the edge of both lanes."""
        result = []
        size = (people.CYCLIST_WIDTH_M, people.CYCLIST_HEIGHT_M)
        for away, speed, view in ((0, 4.2, "back"), (1, -4.6, "front")):
            side = self._look.traffic_side * (-1 if away else 1)
            for slot in self._slots(time_s, speed, 30.0):
                rng = rng_of(self._seed, 43 + away, slot)
                if rng.random() > 0.42 * self._look.crowd:
                    continue
                start = (slot + rng.uniform(0.2, 0.8)) * 30.0
                d = side * (self._lane_m - rng.uniform(0.15, 0.5))
                poses = [window.pose(start + speed * t, d) for t in (time_s, before_s)]
                phase = int((start + speed * time_s) / 0.8 * people.PHASES) % people.PHASES
                texture = self._assets.cyclist(int(rng.integers(Assets.KINDS)), phase, view)
                uid = (1 << 28) + 2 * (2 * (slot % (1 << 20)) + away)
                result.append(self._card(texture, size, BICYCLIST, uid, poses[0], poses[1]))
        return result

    def _walkers(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """People walking along both pavements, both ways."""
        result = []
        size = (people.PERSON_WIDTH_M, people.PERSON_HEIGHT_M)
        for lane, (side, speed) in enumerate(((-1, 1.2), (-1, -1.35), (1, 1.3), (1, -1.15))):
            for slot in self._slots(time_s, speed, 11.0):
                rng = rng_of(self._seed, 45 + lane, slot)
                if rng.random() > 0.3 * self._look.crowd:
                    continue
                start = (slot + rng.uniform(0.0, 1.0)) * 11.0
                share = rng.uniform(0.1, 0.9)
                poses = [
                    window.pose(s, side * self._pavement(s, side, share))
                    for s in (start + speed * time_s, start + speed * before_s)
                ]
                phase = int((start + speed * time_s) / 1.45 * people.PHASES) % people.PHASES
                view = "back" if speed > 0 else "front"
                for k in range(1 + int(rng.random() < 0.3)):  # some walk in pairs
                    texture = self._assets.walker(int(rng.integers(Assets.KINDS)), phase, view)
                    uid = (1 << 29) + 4 * (4 * (slot % (1 << 20)) + lane) + 2 * k
                    moved = [(x + 0.65 * k * np.sin(h), y - 0.65 * k * np.cos(h), h)
                             for x, y, h in poses]  # fmt: skip
                    result.append(self._card(texture, size, PEDESTRIAN, uid, moved[0], moved[1]))
        return result

    def _pavement(self, s: float, side: int, share: float) -> float:
        """Returns how far from the street's line a walker's track on the pavement runs."""
        section = side_section(self._seed, int(np.floor(s / CHUNK_M)) // BLOCK_CHUNKS, side)
        inner = section.kerb_m + section.verge_m + 0.4
        return inner + share * (section.pavement_m - 0.7)

    def _crossing(self, time_s: float, before_s: float, window: Window) -> list[Pieces]:
        """People and cyclists who cross the road while the camera comes nearer."""
        result = []
        here = self._travel(time_s)
        every = 45.0
        for number in range(int(here // every), int((here + 110.0) // every) + 1):
            rng = rng_of(self._seed, 50, number)
            s = (number + rng.uniform(0.2, 0.8)) * every
            if rng.random() > 0.45 * self._look.crowd or s < here:
                continue
            rides = rng.random() < 0.35
            way = 1 if rng.random() < 0.5 else -1
            begin, end = rng.uniform(45.0, 75.0), rng.uniform(14.0, 24.0)
            half = 2.2 * self._lane_m if rides else 1.6 * self._lane_m
            across = [
                way * half * (1 - 2 * float(np.clip((s - self._travel(t) - end) / (begin - end), 0, 1)))
                for t in (time_s, before_s)
            ]  # fmt: skip
            if rides and abs(across[0]) >= half:
                continue
            poses = [window.pose(s, d) for d in across]
            person = int(rng.integers(Assets.KINDS))
            uid = (1 << 30) + 2 * (number % (1 << 20))
            mirrored = way < 0
            if rides:
                phase = int(abs(across[0]) / 0.8 * people.PHASES) % people.PHASES
                texture = self._assets.cyclist(person, phase, "side")
                size, label = (people.CYCLIST_WIDTH_M, people.CYCLIST_HEIGHT_M), BICYCLIST
            else:
                stands = abs(across[0]) >= half
                stride = int((across[0] + 99.0) / 1.45 * people.PHASES) % people.PHASES
                phase = people.PHASES if stands else stride
                texture = self._assets.walker(person, phase, "side")
                size, label = (people.PERSON_WIDTH_M, people.PERSON_HEIGHT_M), PEDESTRIAN
            result.append(
                self._card(texture, size, label, uid, poses[0], poses[1], mirrored=mirrored)
            )
        return result
