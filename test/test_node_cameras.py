# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Several cameras on one set of weights: each as if it were alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ros_process import CameraPeer, image_message, pixels_of, scene

from gsvnet_model.checkpoint import load_model
from gsvnet_model.stream.segmenter import VideoSegmenter
from gsvnet_ros.messages.message_fields import stamp_ns, status_values
from gsvnet_ros.tools.benchmark.nodes import start_node

NAMESPACE = "/rig"
NAMES = ("left", "right", "rear")
INTERVAL = 3

Answer = tuple[NDArray[np.uint8], dict[str, str]]
"""Mask and status of one frame."""


@pytest.fixture(scope="module")
def cameras_of_module(
    ros: None, tmp_path_factory: pytest.TempPathFactory, weights_path: Path
) -> Iterator[dict[str, CameraPeer]]:
    """The cameras of one node."""
    process = start_node(
        tmp_path_factory.mktemp("rig") / "log.txt",
        {
            "model.weights": str(weights_path),
            "model.device": "cpu",
            "model.precision": "float32",
            "keyframe.interval": INTERVAL,
            "cameras": list(NAMES),
            # The flood of another camera may cost best-effort frames in transport, which is not
            # what is tested.
            f"qos_overrides.{NAMESPACE}/right/image.subscription.reliability": "reliable",
        },
        NAMESPACE,
    )
    peers = {name: CameraPeer(name, namespace=NAMESPACE) for name in NAMES}
    for peer in peers.values():
        peer.warm_up(image_message(scene(0)))
    yield peers
    for peer in peers.values():
        peer.close()
    assert process.stop() == 0, process.log_tail()


@pytest.fixture
def cameras(cameras_of_module: dict[str, CameraPeer]) -> dict[str, CameraPeer]:
    """The cameras, whose next frames start anew."""
    next(iter(cameras_of_module.values())).reset()
    return cameras_of_module


def view(name: str, index: int) -> NDArray[np.uint8]:
    """Return frame `index` of a camera; every camera sees something else."""
    return scene(index + 10 * NAMES.index(name))


def exchange_all(cameras: dict[str, CameraPeer], ticks: int) -> dict[str, list[Answer]]:
    """Send `ticks` frames of every camera in turn and return the answers per camera."""
    answers: dict[str, list[Answer]] = {name: [] for name in cameras}
    for index in range(ticks):
        for name, camera in cameras.items():
            mask, _, status = camera.exchange(image_message(view(name, index)))
            answers[name].append((pixels_of(mask), status))
    return answers


def test_masks_equal_those_of_a_single_camera(
    cameras: dict[str, CameraPeer], weights_path: Path
) -> None:
    model = load_model(weights_path, "cpu", "float32")
    first = cameras[NAMES[0]]
    assert first.set(keyframe__stagger=False).successful
    try:
        answers = exchange_all(cameras, INTERVAL + 1)
    finally:
        assert first.set(keyframe__stagger=True).successful
    for name, frames in answers.items():
        alone = VideoSegmenter(model, INTERVAL)
        for index, (mask, _) in enumerate(frames):
            np.testing.assert_array_equal(mask, alone.step(view(name, index)).labels)


def test_keyframes_are_spread_over_the_interval(
    cameras: dict[str, CameraPeer], weights_path: Path
) -> None:
    model = load_model(weights_path, "cpu", "float32")
    ticks = 3 * INTERVAL
    answers = exchange_all(cameras, ticks)
    per_tick = np.zeros(ticks, int)
    for name, frames in answers.items():
        alone = VideoSegmenter(model, INTERVAL)
        for index, (mask, status) in enumerate(frames):
            is_keyframe = status["is_keyframe"] == "true"
            per_tick[index] += is_keyframe
            # With its keyframes in the same places a single camera gives the same.
            reason = "here" if is_keyframe else ""
            expected = alone.step(view(name, index), force_keyframe=reason)
            np.testing.assert_array_equal(mask, expected.labels)
    assert per_tick[0] == len(NAMES)
    assert per_tick[INTERVAL:].tolist() == [1] * (ticks - INTERVAL)


def answer_to(camera: CameraPeer, stamp: int) -> Answer:
    """Wait for the mask and the status of the frame with this stamp."""
    text = f"{stamp // 10**9}.{stamp % 10**9:09d}"

    def found() -> tuple[list[Any], list[dict[str, str]]]:
        statuses = [status_values(status) for status in camera.statuses]
        return (
            [mask for mask in camera.masks if stamp_ns(mask.header) == stamp],
            [status for status in statuses if status["stamp"] == text],
        )

    camera.wait(lambda: all(found()))
    (mask,), (status,) = found()
    return pixels_of(mask), status


def test_cameras_whose_frames_come_together_get_what_each_gets_alone(
    cameras: dict[str, CameraPeer], weights_path: Path
) -> None:
    model = load_model(weights_path, "cpu", "float32")
    alone = {name: VideoSegmenter(model, INTERVAL) for name in NAMES}
    for index in range(6):
        stamps = {
            name: camera.send(image_message(view(name, index))) for name, camera in cameras.items()
        }
        for name, camera in cameras.items():
            mask, status = answer_to(camera, stamps[name])
            reason = "here" if status["is_keyframe"] == "true" else ""
            expected = alone[name].step(view(name, index), force_keyframe=reason)
            np.testing.assert_array_equal(mask, expected.labels)


def test_dead_and_flooding_cameras_do_not_delay_the_others(
    cameras: dict[str, CameraPeer],
) -> None:
    left, right = cameras["left"], cameras["right"]
    before, sent = left.counts(), left.sent
    right_before = right.counts()
    latencies = []
    for index in range(10):
        started = time.monotonic()
        for burst in range(20):
            left.send(image_message(view("left", burst)))
        right.exchange(image_message(view("right", index)))
        latencies.append(time.monotonic() - started)
    after = right.counts()
    assert after["served"] - right_before["served"] == 10
    assert after["dropped"] == right_before["dropped"]
    assert np.median(latencies) < 1.0

    def adds_up() -> bool:
        counts = left.counts()
        return counts["sent"] - before["sent"] == left.sent - sent

    left.wait(adds_up)
    counts = left.counts()
    assert counts["sent"] == counts["served"] + counts["dropped"]
    assert counts["dropped.busy"] + counts.get("dropped.lost", 0) > 0


def test_jump_of_one_camera_leaves_the_others(cameras: dict[str, CameraPeer]) -> None:
    left, right = cameras["left"], cameras["right"]
    for camera in (left, right):
        camera.exchange(image_message(scene(0)))
    left.exchange(image_message(scene(0, height=64, width=64)))
    _, _, status = right.exchange(image_message(scene(1)))
    assert status["keyframe_reason"] in ("", "stagger")
