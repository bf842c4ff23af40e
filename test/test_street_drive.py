# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The street drive: determinism, classes, and labels and flow that agree with the pictures."""

from __future__ import annotations

import functools
import hashlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import CAMVID
from street_drive import RENDERER_VERSION, Frame, StreetDrive, steady, stop_and_go

HEIGHT, WIDTH = 180, 240


@functools.cache
def small_drive(seed: int) -> StreetDrive:
    """Returns a drive that the tests share; what it keeps must not change its frames."""
    return StreetDrive(seed, HEIGHT, WIDTH)


def sample_nearest(array: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Reads array at x + flow(x), the border repeated."""
    height, width = flow.shape[:2]
    v, u = np.mgrid[0:height, 0:width]
    move = np.nan_to_num(flow)
    x = np.clip(np.rint(u + move[..., 0]), 0, width - 1).astype(int)
    y = np.clip(np.rint(v + move[..., 1]), 0, height - 1).astype(int)
    return np.asarray(array[y, x], np.uint8)


def sample_linear(image: NDArray[np.generic], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = flow.shape[:2]
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    move = np.nan_to_num(flow)
    sampled = cv2.remap(
        image.astype(np.float32), u + move[..., 0], v + move[..., 1], cv2.INTER_LINEAR
    )
    return np.asarray(sampled, np.float32)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Frame, Frame]]:
    """Consecutive frames of some drives, far enough apart in time to move visibly."""
    result = []
    for seed in (0, 1, 2):
        drive = StreetDrive(seed, HEIGHT, WIDTH, rate_hz=15.0)
        for index in (1, 150):
            result.append((drive.frame(index - 1), drive.frame(index)))
    return result


def test_the_renderer_draws_what_its_version_names() -> None:
    # Labels, which depend on no rounding of colours that another processor may do differently.
    labels = [StreetDrive(seed, 120, 160).frame(40 * seed).labels for seed in range(3)]
    drawn = hashlib.sha256(np.stack(labels).tobytes()).hexdigest()[:16]
    assert (RENDERER_VERSION, drawn) == ("70c61c52", "e8cf4aba74ffcc76"), (
        "the renderer draws other pictures: give it a new RENDERER_VERSION, and this test both"
    )


class TestSmoke:
    @pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 131), (120, 65)])
    def test_any_size_renders(self, height: int, width: int) -> None:
        frame = StreetDrive(3, height, width).frame(5)
        assert frame.image.shape == (height, width, 3)
        assert frame.image.dtype == np.uint8
        assert frame.labels.shape == (height, width)
        assert frame.labels.dtype == np.uint8
        assert frame.flow.shape == (height, width, 2)
        assert frame.flow.dtype == np.float32
        assert frame.valid.shape == (height, width)
        assert frame.valid.mean() > 0.6

    def test_picture_is_a_street(self) -> None:
        labels = small_drive(0).frame(30).labels
        assert (labels[-HEIGHT // 6 :] == CAMVID.names.index("road")).mean() > 0.5
        assert (labels[-HEIGHT // 6 :] == CAMVID.names.index("sky")).sum() == 0


class TestDeterminism:
    def test_order_of_access_changes_nothing(self) -> None:
        forwards, backwards = (StreetDrive(4, HEIGHT, WIDTH) for _ in range(2))
        indices = (0, 1, 2, 170)
        first = {index: forwards.frame(index) for index in indices}
        for index in reversed(indices):
            again = backwards.frame(index)
            np.testing.assert_array_equal(first[index].image, again.image)
            np.testing.assert_array_equal(first[index].labels, again.labels)
            np.testing.assert_array_equal(first[index].flow, again.flow)
            np.testing.assert_array_equal(first[index].valid, again.valid)

    def test_flow_can_be_asked_for_late(self) -> None:
        drive = small_drive(4)
        early, late = drive.frame(10), drive.frame(10)
        flow = early.flow.copy()
        for index in (100, 200, 300, 400):
            drive.frame(index)
        np.testing.assert_array_equal(late.flow, flow)

    def test_seeds_differ(self) -> None:
        a, b = small_drive(5).frame(0), small_drive(6).frame(0)
        assert (a.labels != b.labels).mean() > 0.05

    def test_drive_far_out_still_renders(self) -> None:
        frame = small_drive(5).frame(3_000_000)
        assert len(np.unique(frame.labels)) >= 6
        assert frame.valid.mean() > 0.6


class TestClasses:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_all_classes_appear(self, seed: int) -> None:
        drive = StreetDrive(seed, 120, 160)
        count = np.zeros(256, np.int64)
        for index in range(0, 24 * 70, 70):
            count += np.bincount(drive.frame(index).labels.ravel(), minlength=256)
        assert (count[: CAMVID.num_classes] > 0).all()
        assert count[CAMVID.num_classes :].sum() == 0
        share = count / count.sum()
        for name in ("pole", "sign", "pedestrian", "bicyclist"):
            assert share[CAMVID.names.index(name)] > 0.002, name


class TestFlow:
    def test_flow_carries_labels(self, pairs: list[tuple[Frame, Frame]]) -> None:
        for previous, current in pairs:
            same = sample_nearest(previous.labels, current.flow) == current.labels
            assert current.valid.mean() > 0.75
            assert same[current.valid].mean() >= 0.985
            assert same.mean() > 0.93

    def test_flow_carries_the_image(self, pairs: list[tuple[Frame, Frame]]) -> None:
        for previous, current in pairs:
            soft = [cv2.GaussianBlur(f.image, (0, 0), 0.8) for f in (previous, current)]
            error = np.abs(sample_linear(soft[0], current.flow) - soft[1]).mean(axis=-1)
            still = np.abs(soft[0].astype(np.float32) - soft[1]).mean(axis=-1)
            assert error[current.valid].mean() < 4.5
            assert error[current.valid].mean() < 0.6 * still[current.valid].mean()

    def test_flow_points_inwards_when_driving_forwards(self) -> None:
        frame = StreetDrive(0, HEIGHT, WIDTH, rate_hz=10.0, bend_rad=0.0).frame(20)
        road = frame.labels == CAMVID.names.index("road")
        right, left = np.zeros_like(road), np.zeros_like(road)
        right[HEIGHT * 3 // 4 :, WIDTH * 3 // 4 :] = True
        left[HEIGHT * 3 // 4 :, : WIDTH // 4] = True
        assert (frame.flow[..., 0][road & right] < 0).all()
        assert (frame.flow[..., 0][road & left] > 0).all()
        assert (frame.flow[..., 1][road & (right | left)] < 0).all()

    def test_hidden_before_is_invalid(self, pairs: list[tuple[Frame, Frame]]) -> None:
        for previous, current in pairs:
            differs = sample_nearest(previous.labels, current.flow) != current.labels
            assert not (differs & current.valid).any()
            v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
            x, y = u + current.flow[..., 0], v + current.flow[..., 1]
            outside = (x < -0.5) | (x > WIDTH - 0.5) | (y < -0.5) | (y > HEIGHT - 0.5)
            assert not (outside & current.valid).any()

    def test_standing_camera_sees_still_ground(self) -> None:
        drive = StreetDrive(1, HEIGHT, WIDTH, travel=lambda time_s: 60.0)
        frame = drive.frame(40)
        road = frame.labels == CAMVID.names.index("road")
        assert np.abs(frame.flow[road]).max() < 1e-3

    def test_flow_follows_what_moves(self) -> None:
        drive = StreetDrive(1, HEIGHT, WIDTH, rate_hz=10.0, travel=lambda time_s: 60.0)
        carried, still = [], []
        for index in (20, 40, 60, 80):
            previous, current = drive.frame(index - 1), drive.frame(index)
            moves = current.valid & (np.abs(np.nan_to_num(current.flow)).max(axis=-1) > 1.0)
            error = np.abs(sample_linear(previous.image, current.flow) - current.image)
            carried.append(error[moves])
            still.append(np.abs(previous.image.astype(np.float32) - current.image)[moves])
        assert sum(map(len, carried)) > 200
        assert np.concatenate(carried).mean() < 0.5 * np.concatenate(still).mean()


class TestTravel:
    def test_steady_keeps_its_mean_speed(self) -> None:
        travel = steady(8.0)
        assert travel(1100.0) == pytest.approx(8800.0, abs=5.0)
        assert all(travel(t + 0.1) > travel(t) for t in np.arange(0.0, 30.0, 0.1))

    def test_stop_and_go_stops_and_never_reverses(self) -> None:
        travel = stop_and_go(9.0, drive_s=9.0, stop_s=3.0)
        assert travel(9.0) == pytest.approx(54.0)
        assert travel(11.9) == pytest.approx(54.0)
        assert travel(21.0) == pytest.approx(108.0)
        steps = np.diff([travel(t) for t in np.arange(-12.0, 30.0, 0.05)])
        assert steps.min() > -1e-9
        assert steps.max() < 9.0 * 0.05 + 1e-9


class TestException:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"seed": -1}, "seed"),
            ({"seed": 0, "height": 63}, "height"),
            ({"seed": 0, "width": 10}, "width"),
            ({"seed": 0, "rate_hz": 0.0}, "rate_hz"),
            ({"seed": 0, "bend_rad": 2.0}, "bend_rad"),
        ],
    )
    def test_wrong_arguments(self, arguments: dict[str, float], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            StreetDrive(**arguments)  # type: ignore[arg-type]

    def test_negative_index(self) -> None:
        with pytest.raises(ValueError, match="index >= 0"):
            small_drive(0).frame(-1)

    def test_wrong_travel(self) -> None:
        with pytest.raises(ValueError, match="speed_m_s > 0"):
            steady(0.0)
        with pytest.raises(ValueError, match="drive_s > 0"):
            stop_and_go(8.0, drive_s=0.0)
