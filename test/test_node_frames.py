# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Faults of the camera: what is dropped is counted, and the next good frame is served."""

from __future__ import annotations

import array
import multiprocessing
import time
from collections.abc import Callable

import numpy as np
import pytest
import rclpy
from rclpy.serialization import serialize_message
from ros_process import FRAME_PERIOD_NS, INTERVAL, CameraPeer, image_message, pixels_of, scene
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from gsvnet_ros.message_fields import stamp_ns

SERVED_AGAIN_S = 1.0
"""What the node promises after a fault."""


def drops(camera: CameraPeer, act: Callable[[], object]) -> dict[str, int]:
    """Return how the counts changed while something was done, once they add up."""
    before = camera.counts()
    act()

    def settled() -> bool:
        after = camera.counts()
        return after["sent"] == after["served"] + after["dropped"]

    camera.wait(settled)
    after = camera.counts()
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key)}


def truncated() -> Image:
    message = image_message(scene(0))
    message.data = message.data[:-7]
    return message


def oversized() -> Image:
    message = image_message(scene(0))
    message.data.extend(bytes(7))
    return message


def of_encoding(encoding: str) -> Image:
    message = image_message(scene(0))
    message.encoding = encoding
    return message


def of_zero_size() -> Image:
    return Image(encoding="rgb8")


def tiny() -> Image:
    return image_message(scene(0)[:8, :8])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (truncated, "bad_data"),
        (oversized, "bad_data"),
        (lambda: of_encoding("garbage"), "bad_encoding"),
        (lambda: of_encoding(""), "bad_encoding"),
        (lambda: of_encoding("rgba8"), "bad_data"),
        (of_zero_size, "bad_size"),
        (tiny, "bad_size"),
    ],
)
def test_bad_frame_is_counted_and_the_next_one_served(
    camera: CameraPeer, broken: Callable[[], Image], reason: str
) -> None:
    def act() -> None:
        camera.send(broken())
        camera.spin(0.2)
        camera.exchange(image_message(scene(0)), timeout_s=SERVED_AGAIN_S)

    changes = drops(camera, act)
    assert changes == {"sent": 2, "served": 1, "dropped": 1, f"dropped.{reason}": 1}


def test_bad_frame_leaves_the_temporal_state(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    camera.send(truncated())
    _, _, status = camera.exchange(image_message(scene(1)))
    assert status["keyframe_age"] == "1"


@pytest.mark.parametrize("padding", [1, 32])
def test_padded_rows_are_skipped(camera: CameraPeer, padding: int) -> None:
    plain, _, _ = camera.exchange(image_message(scene(2)))
    camera.reset()
    rows = scene(2).reshape(120, 480)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = image_message(padded.reshape(120, 480 + padding, 1))
    message.width, message.step = 160, 480 + padding
    mask, _, _ = camera.exchange(message)
    np.testing.assert_array_equal(pixels_of(mask), pixels_of(plain))


def test_recording_that_starts_over_makes_a_keyframe(camera: CameraPeer) -> None:
    start = camera.next_stamp()
    for index in range(2):
        camera.exchange(image_message(scene(index)), start + index * FRAME_PERIOD_NS)
    _, _, status = camera.exchange(image_message(scene(0)), start)
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "stamp_back")
    _, _, status = camera.exchange(image_message(scene(1)), start + FRAME_PERIOD_NS)
    assert status["keyframe_age"] == "1"


def test_gap_makes_a_keyframe(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    _, _, status = camera.exchange(image_message(scene(1)), camera.next_stamp(900_000_000))
    assert status["is_keyframe"] == "false"
    _, _, status = camera.exchange(image_message(scene(2)), camera.next_stamp(1_100_000_000))
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "gap")


def test_gap_of_frames_that_were_dropped_forgets_nothing(camera: CameraPeer) -> None:
    def after_a_drop() -> dict[str, str]:
        camera.exchange(image_message(scene(0)))
        unknown, stamp = (
            image_message(scene(1), encoding="unheard_of"),
            camera.next_stamp(900_000_000),
        )
        # Seen to have arrived: the topic keeps one message, and the next would take its place.
        change = drops(camera, lambda: camera.send(unknown, stamp))
        assert change["dropped.bad_encoding"] == 1
        return camera.exchange(image_message(scene(2)), camera.next_stamp(900_000_000))[2]

    status = after_a_drop()
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "delay")
    assert camera.set(keyframe__mode="background").successful
    try:
        status = after_a_drop()
        assert (status["is_keyframe"], status["keyframe_reason"]) == ("false", "delay")
        assert status["keyframe_background"] == "running"
    finally:
        assert camera.set(keyframe__mode="blocking").successful


def test_change_of_size_or_frame_makes_a_keyframe(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    mask, _, status = camera.exchange(image_message(scene(1, height=97, width=131)))
    assert (mask.height, mask.width, mask.step) == (97, 131, 131)
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "size")
    _, _, status = camera.exchange(
        image_message(scene(2, height=97, width=131), frame_id="other_camera")
    )
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "frame_id")


def test_regular_keyframes_follow_the_interval(camera: CameraPeer) -> None:
    ages = []
    for index in range(2 * INTERVAL + 1):
        _, _, status = camera.exchange(image_message(scene(index)))
        ages.append(int(status["keyframe_age"]))
    assert ages == [*range(INTERVAL), *range(INTERVAL), 0]


def test_forced_keyframe_is_the_next_frame(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    assert camera.call(Trigger, "force_keyframe", Trigger.Request()).success
    _, _, status = camera.exchange(image_message(scene(1)))
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "forced")
    _, _, status = camera.exchange(image_message(scene(2)))
    assert status["keyframe_age"] == "1"


def test_flood_serves_the_newest_and_counts_the_rest(camera: CameraPeer) -> None:
    last = 0

    def flood() -> None:
        nonlocal last
        camera.masks.clear()
        for index in range(60):
            last = camera.send(image_message(scene(index)))
            time.sleep(0.001)
        camera.wait(lambda: any(stamp_ns(mask.header) == last for mask in camera.masks))

    changes = drops(camera, flood)
    assert changes["sent"] == 60
    assert changes["served"] + changes["dropped"] == 60
    assert changes["dropped"] > 0
    assert set(changes) <= {"sent", "served", "dropped", "dropped.busy", "dropped.lost"}
    stamps = [stamp_ns(mask.header) for mask in camera.masks]
    assert stamps == sorted(stamps)


def test_frames_too_old_are_dropped(camera: CameraPeer) -> None:
    assert camera.set(frames__max_age=0.5).successful
    try:
        now = time.time_ns()

        def act() -> None:
            camera.send(image_message(scene(0)), now - 2_000_000_000)
            camera.spin(0.2)
            camera.exchange(image_message(scene(0)), time.time_ns())

        changes = drops(camera, act)
    finally:
        assert camera.set(frames__max_age=0).successful
    assert changes == {"sent": 2, "served": 1, "dropped": 1, "dropped.too_old": 1}


def test_mutated_images_are_served_or_counted(camera: CameraPeer) -> None:
    random = np.random.default_rng(7)
    sample = image_message(scene(0, height=48, width=64))

    def storm() -> None:
        for _ in range(500):
            camera.send(mutated(sample, random))
            camera.spin(0.002)

    changes = drops(camera, storm)
    assert changes["sent"] == 500
    assert changes["served"] + changes["dropped"] == 500
    assert "dropped.failed" not in changes
    camera.exchange(image_message(scene(0)), timeout_s=SERVED_AGAIN_S)


def test_bytes_that_are_no_message_are_counted(camera: CameraPeer) -> None:
    random = np.random.default_rng(13)
    good = serialize_message(image_message(scene(0)))

    def storm() -> None:
        for number in range(100):
            data = bytearray(good)
            if number % 3 == 0:
                data = data[: int(random.integers(0, len(data)))]
            elif number % 3 == 1:
                data = bytearray(random.bytes(int(random.integers(0, 400))))
            else:
                for _ in range(10):
                    data[int(random.integers(0, 80))] = int(random.integers(0, 256))
            camera.images.publish(bytes(data))
            camera.spin(0.005)
        camera.exchange(image_message(scene(0)), timeout_s=SERVED_AGAIN_S)

    changes = drops(camera, storm)
    assert changes["sent"] == 101
    assert changes["served"] + changes["dropped"] == 101


def mutated(sample: Image, random: np.random.Generator) -> Image:
    """Return a copy with one to three fields damaged."""
    message = image_message(pixels_of(sample, channels=3))
    for kind in random.choice(8, size=int(random.integers(1, 4)), replace=False):
        if kind == 0:
            message.height = int(random.integers(0, 2**32))
        elif kind == 1:
            message.width = int(random.choice([0, 1, 63, 65, 2**31, 2**32 - 1]))
        elif kind == 2:
            message.step = int(random.choice([0, 1, 191, 193, 2**32 - 1]))
        elif kind == 3:
            encodings = ["", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "32FC1", "bayer_rggb8"]
            message.encoding = str(random.choice([*encodings, "ü" * 300]))
        elif kind == 4:
            message.data = message.data[: int(random.integers(0, len(message.data)))]
        elif kind == 5:
            message.data.extend(bytes(int(random.integers(1, 999))))
        elif kind == 6:
            message.data = array.array("B", random.bytes(len(message.data)))
        else:
            message.is_bigendian = int(random.integers(0, 256))
            message.header.frame_id = "x" * int(random.integers(0, 2000))
    return message


def send_for_ever(first_stamp_ns: int) -> None:
    """Run a camera at 30 Hz until it is killed."""
    rclpy.init()
    peer = rclpy.create_node("killed_camera")
    publisher = peer.create_publisher(Image, "/image", 5)
    stamp = first_stamp_ns
    while True:
        message = image_message(scene(0), frame_id="killed_camera")
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        publisher.publish(message)
        stamp += FRAME_PERIOD_NS
        time.sleep(0.033)


def test_killed_camera_is_served_again_after_its_restart(camera: CameraPeer) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        camera.masks.clear()
        process = context.Process(
            target=send_for_ever, args=(camera.next_stamp(5 * 10**9),), daemon=True
        )
        process.start()
        camera.wait(lambda: any(mask.header.frame_id == "killed_camera" for mask in camera.masks))
        process.kill()
        process.join()
    _, _, status = camera.exchange(image_message(scene(0)), timeout_s=SERVED_AGAIN_S)
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "publisher")
