# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Synthetic motion of stills: frames, labels and flow that agree."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_lab.motion.camera import CameraStep, MotionRanges, draw_steps, step_flow
from gsvnet_lab.motion.cutouts import Cutout, collect_cutouts
from gsvnet_lab.motion.frame import MovingFrame
from gsvnet_lab.motion.scene import SceneRoles, horizon_row, inverse_depth
from gsvnet_lab.motion.still import moving_still
from gsvnet_model.outputs.classes import CAMVID, CITYSCAPES, IGNORE_INDEX
from street_drive import StreetDrive

ROLES = SceneRoles.of(CAMVID)
QUIET = MotionRanges(gain=0.0, noise=0.0, standing=0.0)
SKY, BUILDING, POLE, ROAD, CAR = 0, 1, 2, 3, 8


@pytest.fixture(scope="module")
def still() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    frame = StreetDrive(3, 120, 160).frame(30)
    # A smooth image: what interpolation alone changes is then small.
    return cv2.GaussianBlur(frame.image, (0, 0), 1.5).astype(np.uint8), frame.labels


def car() -> Cutout:
    image = np.full((16, 24, 3), 230, np.uint8)
    return Cutout(image, np.full((16, 24), 255, np.uint8), CAR)


def clip(
    still: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    seed: int,
    ranges: MotionRanges = QUIET,
    library: tuple[Cutout, ...] = (),
) -> tuple[MovingFrame, ...]:
    return moving_still(*still, 4, ROLES, ranges, library, np.random.default_rng(seed))


def warped(previous: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width = previous.shape[:2]
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    x, y = np.moveaxis((pixels + flow).astype(np.float32), -1, 0)
    return cv2.remap(previous, x, y, cv2.INTER_LINEAR).astype(np.uint8)


@pytest.mark.parametrize("library", [(), (car(),)], ids=["scene", "with cut-outs"])
def test_the_flow_brings_the_previous_frame_to_the_current_one(
    still: tuple[NDArray[np.uint8], NDArray[np.uint8]], library: tuple[Cutout, ...]
) -> None:
    moved, unmoved = [], []
    for seed in range(6):
        frames = clip(still, seed, library=library)
        for previous, current in itertools.pairwise(frames):
            error = np.abs(warped(previous.image, current.flow).astype(int) - current.image)
            moved.append(error.mean(-1)[current.valid].mean())
            unmoved.append(np.abs(previous.image.astype(int) - current.image).mean())
            assert current.valid.mean() > 0.5
    assert np.mean(moved) < 1.5
    assert np.mean(moved) < 0.25 * np.mean(unmoved)  # the frames do move


def test_labels_move_with_the_image() -> None:
    """An image that shows its own labels shows them in every frame."""
    rows, columns = np.mgrid[0:90, 0:120]
    labels = (np.where(rows > 50, ROAD, np.where(columns > 60, BUILDING, SKY))).astype(np.uint8)
    image = np.repeat(labels[..., None] * 60, 3, 2)
    for seed in range(5):
        for frame in clip((image, labels), seed, library=()):
            known = frame.labels != IGNORE_INDEX
            agree = np.abs(frame.image[..., 0].astype(int) - frame.labels * 60.0) < 31
            assert agree[known].mean() > 0.97


def test_a_cutout_moves_over_the_scene(
    still: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    ranges = dataclasses.replace(QUIET, forward_m=(0.0, 0.0), yaw_rad=0, pitch_rad=0, roll_rad=0)
    ranges = dataclasses.replace(ranges, sideways_m=0.0, cutouts=1)
    covered = 0
    for seed in range(10):
        frames = clip(still, seed, ranges, (car(),))
        current = frames[-1]
        things = np.abs(current.flow).max(-1) > 0.05
        if not things.any():
            continue
        assert (current.labels[things] == CAR).all()
        # What it uncovers was not visible in the frame before.
        covered += int((~current.valid & ~things).sum())
    assert covered > 0


def test_driving_forward_reads_from_nearer_the_horizon() -> None:
    depth = np.full((20, 30), 0.1, np.float32)
    flow, current = step_flow(depth, CameraStep((0, 0, 1.0), (0, 0, 0)), 30.0, (15.0, 10.0))
    assert flow[2, 15, 1] > 0 > flow[18, 15, 1]
    assert flow[10, 2, 0] > 0 > flow[10, 28, 0]
    # One metre nearer than 10 m, seen from where the camera is now.
    np.testing.assert_allclose(current, 1 / 9, rtol=1e-4)
    # x in front of the camera at 9 m was at 10 m: 13 px from the centre become 11.7.
    np.testing.assert_allclose(flow[10, 28, 0], -1.3, atol=5e-3)


def test_turning_right_reads_from_the_right() -> None:
    flow, _ = step_flow(
        np.zeros((20, 30), np.float32), CameraStep((0, 0, 0), (0, 0.01, 0)), 30.0, (15.0, 10.0)
    )
    np.testing.assert_allclose(flow[10, 15], (0.3, 0), atol=1e-3)
    flow, _ = step_flow(
        np.zeros((20, 30), np.float32), CameraStep((0, 0, 0), (0.01, 0, 0)), 30.0, (15.0, 10.0)
    )
    assert flow[10, 15, 1] < 0  # looking up brings what was above


def test_depth_follows_the_labels() -> None:
    labels = np.full((60, 80), BUILDING, np.uint8)
    labels[:20] = SKY
    labels[30:] = ROAD
    labels[30:45, 30:50] = CAR
    horizon = horizon_row(labels, ROLES)
    assert 20 < horizon < 31
    depth = inverse_depth(labels, ROLES, 80.0, horizon, np.random.default_rng(0))
    assert depth[5, 40] == pytest.approx(0, abs=1e-4)
    assert depth[58, 40] > 1.2 * depth[48, 40]  # the road comes nearer down the image
    assert depth[36, 40] == pytest.approx(depth[44, 40], rel=0.3)  # a car stands upright
    assert depth[36, 40] > 1.3 * depth[36, 5]  # and before the road beside its top


def test_a_standing_camera_sees_a_still(
    still: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    ranges = dataclasses.replace(
        QUIET, standing=1.0, backward=0.0, sideways_m=0.0, yaw_rad=0, pitch_rad=0, roll_rad=0
    )
    frames = clip(still, 1, ranges)
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame.image, frames[0].image)
        assert np.abs(frame.flow).max() < 1e-4
        assert frame.valid.all()


def test_clips_are_reproducible(still: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    ranges = MotionRanges()
    clips = [clip(still, 5, ranges, (car(),)) for _ in range(2)]
    for first, second in zip(*clips, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.flow, second.flow)


def test_cutouts_are_whole_things() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    labels = np.full((100, 100), ROAD, np.uint8)
    labels[20:40, 20:50] = CAR
    labels[80:, 60:90] = CAR  # cut off by the border
    labels[60:70, 20:30] = BUILDING  # not movable
    image[20:40, 20:50] = 99
    (found,) = collect_cutouts([(image, labels)], ROLES)
    assert found.label == CAR
    assert found.mask.shape == (20, 30)
    assert (found.image == 99).all()


def test_both_class_tables_have_all_roles() -> None:
    for table in (CAMVID, CITYSCAPES):
        roles = SceneRoles.of(table)
        assert len(roles.sky) == 1
        assert len(roles.ground) >= 2
        assert set(roles.movable) < set(roles.standing)
        assert not set(roles.standing) & set(roles.ground)


def test_exceptions(still: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    rng = np.random.default_rng(0)
    image, labels = still
    with pytest.raises(ValueError, match="at least 1 frame"):
        moving_still(image, labels, 0, ROLES, QUIET, (), rng)
    with pytest.raises(ValueError, match="expected an image of shape"):
        moving_still(image[:-1], labels, 2, ROLES, QUIET, (), rng)
    for values, message in (
        ({"forward_m": (1.0, 0.5)}, "largest way"),
        ({"standing": 0.7, "backward": 0.7}, "sum to at most 1"),
        ({"noise": -1.0}, "noise"),
        ({"cutouts": -1}, "cutouts"),
    ):
        with pytest.raises(ValueError, match=message):
            MotionRanges(**values)


def test_steps_keep_their_course() -> None:
    ways = []
    for seed in range(200):
        steps = draw_steps(5, MotionRanges(), np.random.default_rng(seed))
        forward = [step.way_m[2] for step in steps]
        assert min(forward) >= 0 or max(forward) <= 0  # no clip turns round
        ways.append(np.mean(forward))
    assert np.mean(np.array(ways) < 0) < 0.25
    assert np.max(ways) > 0.6
