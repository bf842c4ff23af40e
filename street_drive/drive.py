# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The drive: a camera that moves along the street, frame by frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from street_drive.assets import Assets
from street_drive.buffers import BASE_LABELS, Buffers, empty_buffers
from street_drive.camera import Camera
from street_drive.ground import Ground
from street_drive.look import make_look
from street_drive.motion import backward_flow, same_surface
from street_drive.path import CHUNK_M, rng_of
from street_drive.render import draw
from street_drive.section import side_section
from street_drive.sky import Sky
from street_drive.surface import Pieces, join
from street_drive.traffic import Traffic
from street_drive.travel import Travel, steady
from street_drive.window import (
    CHUNKS_AHEAD,
    CHUNKS_BEHIND,
    Window,
    chunk_starts,
    make_window,
)
from street_drive.world import Chunk, build_chunk

_KEPT_CHUNKS = 12
_KEPT_WINDOWS = 3
_KEPT_SCENES = 3
_SMALLEST_PX = 64

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a drive with its ground truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids of CAMVID; every pixel has one.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    _motion: Callable[[], tuple[NDArray[np.float32], NDArray[np.bool_]]] = field(repr=False)

    @cached_property
    def _flow_and_valid(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return self._motion()

    @property
    def flow(self) -> NDArray[np.float32]:
        """Backward flow (H, W, 2) float32, computed when first asked for.

        Convention: the surface point at pixel x was at pixel x + flow(x), (dx, dy), of the
        frame before; exact also where that pixel lies outside the picture or was hidden; nan
        where the point was behind the camera.
        """
        return self._flow_and_valid[0]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W) bool: the frame before shows the same surface at x + flow(x)."""
        return self._flow_and_valid[1]


@dataclass(frozen=True)
class _Scene:
    """What one frame shows, kept for the flow."""

    buffers: Buffers
    pieces: Pieces
    camera: Camera
    travelled_m: float

    @cached_property
    def uid(self) -> NDArray[np.int64]:
        base = -1 - np.arange(len(BASE_LABELS), dtype=np.int64)
        return np.asarray(np.concatenate([base, self.pieces.uid])[self.buffers.surface])


class StreetDrive:
    """An endless, deterministic street drive with exact labels and exact flow.

    Frames can be asked for in any order; the same seed, size, rate, travel and bend always
    give the same frames. Memory is bounded.

    Args:
        seed: chooses the street, its weather, its light and its traffic.
        height, width: size of the pictures in pixels, at least 64 each.
        rate_hz: frames per second.
        travel: distance in metres that the camera has come at a time in seconds, see
            steady and stop_and_go; None for steady travel.
        bend_rad: largest angle between a straight of the street and its mean direction, radians.

    Raises:
        ValueError: if a value is out of its range.
    """

    def __init__(
        self,
        seed: int,
        height: int = 360,
        width: int = 480,
        rate_hz: float = 30.0,
        travel: Travel | None = None,
        bend_rad: float = 0.4,
    ) -> None:
        if seed < 0:
            raise ValueError(f"expected seed >= 0, got {seed}; pass a non-negative whole number")
        if height < _SMALLEST_PX or width < _SMALLEST_PX:
            raise ValueError(
                f"expected height and width >= {_SMALLEST_PX}, got {height} x {width}; "
                "render larger and downsample"
            )
        if not rate_hz > 0:
            raise ValueError(f"expected rate_hz > 0, got {rate_hz}; pass frames per second")
        if not 0 <= bend_rad <= 1:
            raise ValueError(f"expected 0 <= bend_rad <= 1, got {bend_rad}; pass radians")
        self._seed, self._height, self._width = seed, height, width
        self._rate_hz, self._bend_rad = rate_hz, bend_rad
        self._travel = steady() if travel is None else travel
        self._look = make_look(seed)
        self._assets = Assets(seed, self._look)
        self._sky, self._ground = Sky(seed, self._look), Ground(seed, self._look)
        self._traffic = Traffic(seed, self._assets, self._look, self._travel)
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._windows: OrderedDict[int, Window] = OrderedDict()
        self._scenes: OrderedDict[int, _Scene] = OrderedDict()
        self._grain = self._make_grain()
        tones = (np.arange(256) / 255.0) ** self._look.gamma
        bent = tones**2 * (3.0 - 2.0 * tones)
        tones = tones + self._look.contrast * (bent - tones)
        self._tones = np.rint(255.0 * tones).astype(np.uint8)
        grey = np.array([[0.299, 0.587, 0.114]] * 3)
        self._colours = grey + self._look.saturation * (np.eye(3) - grey)

    def frame(self, index: int) -> Frame:
        """Returns the frame of a number.

        Raises:
            ValueError: if index is negative.
        """
        if index < 0:
            raise ValueError(f"expected index >= 0, got {index}; the drive starts at frame 0")
        scene = self._scene(index)
        labels = np.concatenate([np.array(BASE_LABELS), scene.pieces.label]).astype(np.uint8)
        return Frame(
            image=self._develop(scene.buffers.image, index),
            labels=labels[scene.buffers.surface],
            _motion=lambda: self._motion(index),
        )

    def _motion(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns flow and validity of a frame."""
        current, previous = self._scene(index), self._scene(index - 1)
        still = np.zeros((len(BASE_LABELS) + 1, 3))
        moves = np.any(current.pieces.pose != current.pieces.previous_pose, axis=1)
        movers = np.flatnonzero(moves)
        body = np.zeros(len(BASE_LABELS) + len(moves), np.int64)
        body[len(BASE_LABELS) + movers] = 1 + np.arange(len(movers))
        flow = backward_flow(
            current.buffers.inverse_depth,
            body[current.buffers.surface],
            np.concatenate([still[:1], current.pieces.pose[movers]]),
            np.concatenate([still[:1], current.pieces.previous_pose[movers]]),
            current.camera,
            self._camera(index - 1, self._window(current.travelled_m)),
        )
        return flow, same_surface(flow, current.uid, previous.uid)

    def _scene(self, index: int) -> _Scene:
        """Returns what a frame shows, rendering it if it is not kept."""
        if index in self._scenes:
            self._scenes.move_to_end(index)
            return self._scenes[index]
        travelled = self._travel(index / self._rate_hz)
        window = self._window(travelled)
        camera = self._camera(index, window)
        now, before = index / self._rate_hz, (index - 1) / self._rate_hz
        pieces = join([window.standing, *self._traffic.bodies(now, before, window)])
        buffers = empty_buffers(self._height, self._width)
        first = self._ground.paint(buffers, camera, window, travelled)
        self._sky.paint(buffers, camera, first)
        draw(buffers, pieces, camera, self._look)
        scene = _Scene(buffers, pieces, camera, travelled)
        _keep(self._scenes, index, scene, _KEPT_SCENES)
        return scene

    def _camera(self, index: int, window: Window) -> Camera:
        """Returns the camera of a frame, rocking a little, in the axes of a window."""
        time_s = index / self._rate_hz
        travelled = self._travel(time_s)
        look = self._look
        lane = 0.5 * side_section(self._seed, 0, 1).lane_m * look.traffic_side
        x, y, h = window.pose(travelled, lane + 0.15 * float(np.sin(travelled / 17.0)))
        focal = look.focal_share * self._width
        below = (0.5 - look.horizon_share) * self._height / focal
        rock = 0.0022 * np.sin(travelled * 0.9) + 0.0014 * np.sin(travelled * 2.3 + 1.0)
        height_m = look.camera_height_m + 0.012 * float(np.sin(travelled * 1.4))
        return Camera(
            position=np.array([x, y, height_m]),
            yaw=h + 0.006 * float(np.sin(travelled / 11.0)),
            pitch=float(np.arctan(below) + rock),
            focal_px=focal,
            height=self._height,
            width=self._width,
        )

    def _window(self, travelled_m: float) -> Window:
        """Returns the stretch of street around a distance travelled."""
        number = int(np.floor(travelled_m / CHUNK_M))
        if number not in self._windows:
            numbers = range(number - CHUNKS_BEHIND, number + CHUNKS_AHEAD + 1)
            chunks = [self._chunk(k) for k in numbers]
            moved = []
            for chunk, (x, y) in zip(chunks, chunk_starts(chunks), strict=True):
                shift = np.array([x, y, 0.0])
                moved.append(replace(chunk.pieces, origin=chunk.pieces.origin + shift))
            window = make_window(number, chunks, join(moved))
            _keep(self._windows, number, window, _KEPT_WINDOWS)
        return self._windows[number]

    def _chunk(self, number: int) -> Chunk:
        """Returns one chunk of the street."""
        if number not in self._chunks:
            chunk = build_chunk(self._seed, number, self._bend_rad, self._assets, self._look)
            _keep(self._chunks, number, chunk, _KEPT_CHUNKS)
        return self._chunks[number]

    def _make_grain(self) -> NDArray[np.int16]:
        """Returns sensor noise, a margin larger than the picture."""
        rng = rng_of(self._seed, 80, 0)
        shape = (self._height + 64, self._width + 64, 3)
        grain = rng.standard_normal(shape, np.float32) * np.float32(self._look.noise)
        return np.asarray(np.rint(grain), np.int16)

    def _develop(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Returns the image as the camera gives it: its tones, a little blur, and noise."""
        sigma = self._look.blur_px * self._width / 480
        toned = cv2.transform(cv2.LUT(image, self._tones), self._colours)
        soft = cv2.GaussianBlur(toned, (0, 0), max(0.3, sigma))
        y, x = rng_of(self._seed, 81, index).integers(0, 64, 2)
        grain = self._grain[y : y + self._height, x : x + self._width]
        return np.asarray(cv2.add(soft, grain, dtype=cv2.CV_8U), np.uint8)


def _keep(store: OrderedDict[int, _T], key: int, value: _T, limit: int) -> None:
    """Puts a value into a store and drops the oldest values beyond a limit."""
    store[key] = value
    while len(store) > limit:
        store.popitem(last=False)
