# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Faults of the camera: what is dropped is counted, and the next good frame is served."""

from __future__ import annotations

import array
import multiprocessing
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from models import random_model
from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import serialize_message
from ros_process import (
    FRAME_PERIOD_NS,
    INTERVAL,
    START_S,
    CameraPeer,
    Peer,
    image_message,
    pixels_of,
    scene,
)
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from gsvnet_model.outputs.merge import merge_classes
from gsvnet_model.stream.background_keyframe import KeyframeWorker
from gsvnet_ros.health.stream_health import HealthLimits
from gsvnet_ros.messages.message_fields import stamp_ns, status_values
from gsvnet_ros.node import camera_stream
from gsvnet_ros.node.camera_stream import CameraStream, FrameSettings, serve
from gsvnet_ros.node.camera_subscription import CameraSubscription
from gsvnet_ros.node.frame_queue import FrameQueue, ReceivedFrame
from gsvnet_ros.node.parameters import Settings

SERVED_AGAIN_S = 1.0
"""What the node promises after a fault."""


class StreamPeer:
    """A stream in the test's process, for frames that come as no publisher here could send them.

    Args:
        node: a node that does nothing else.
        name: of the camera.

    Attributes:
        stream: the stream.
    """

    def __init__(self, node: LifecycleNode, name: str) -> None:
        model = random_model()
        self._worker = KeyframeWorker(model)
        self._settings = FrameSettings(Settings(), merge_classes(model.info.classes, ()))
        self.stream = CameraStream(node, name, model, self._worker, 0.0)
        self._peer = Peer()
        topic = f"{node.get_fully_qualified_name()}/{name}/status"
        self._statuses = self._peer.listen(DiagnosticStatus, topic)
        self._peer.wait(lambda: node.count_subscribers(topic) > 0)

    def close(self) -> None:
        """Let go of the stream."""
        self._peer.close()
        self._worker.close()

    def give(
        self, message: Image, at_ns: int, sequence: int | None = None, before_ns: int | None = None
    ) -> str:
        """Serve an image as taken and published at this time; return what became of it."""
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(at_ns, 10**9)
        before = self.stream.counts.snapshot()
        self._statuses.clear()
        frame = ReceivedFrame(message, b"camera", sequence, at_ns, before_ns)
        serve([(self.stream, frame)], self._settings)
        after = self.stream.counts.snapshot()
        if after.served == before.served:
            (reason,) = set(after.dropped.items()) - set(before.dropped.items())
            return f"dropped ({reason[0]})"
        self._peer.wait(lambda: self._statuses)
        values = status_values(self._statuses[0])
        return values["keyframe_reason"] or f"age {values['keyframe_age']}"


@pytest.fixture
def two_streams(ros: None) -> Iterator[tuple[StreamPeer, StreamPeer]]:
    """The streams of the cameras front and rear of one node."""
    node = LifecycleNode("streams")
    peers = (StreamPeer(node, "front"), StreamPeer(node, "rear"))
    yield peers
    for peer in peers:
        peer.close()
    node.destroy_node()


@pytest.fixture
def one_stream(two_streams: tuple[StreamPeer, StreamPeer]) -> StreamPeer:
    """A stream that has served its first frame, number 100 of its publisher, at 1000 s."""
    assert two_streams[0].give(image_message(scene(0)), 1000 * 10**9, sequence=100) == "first"
    return two_streams[0]


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


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (truncated, "bad_data"),
        (oversized, "bad_data"),
        (lambda: of_encoding("garbage"), "bad_encoding"),
        (lambda: of_encoding(""), "bad_encoding"),
        (lambda: of_encoding("rgba8"), "bad_data"),
        (of_zero_size, "bad_size"),
    ],
)
def test_bad_frame_is_counted_and_the_next_one_served(
    camera: CameraPeer, broken: Callable[[], Image], reason: str
) -> None:
    # Seen to have arrived: the topic keeps one message, and the next would take its place.
    changes = camera.changes(lambda: camera.send(broken()))
    assert changes == {"sent": 1, "dropped": 1, f"dropped.{reason}": 1}
    good = image_message(scene(0))
    changes = camera.changes(lambda: camera.exchange(good, timeout_s=SERVED_AGAIN_S))
    assert changes == {"sent": 1, "served": 1}


def test_frames_none_of_which_can_be_served_are_an_error(camera: CameraPeer) -> None:
    def health(message: Image) -> DiagnosticStatus | None:
        camera.send(message)
        camera.spin(0.1)
        statuses = [status for array in camera.diagnostics for status in array.status]
        camera.diagnostics.clear()
        return next((s for s in statuses if s.name == "segmentation: camera"), None)

    def is_error() -> bool:
        status = health(of_encoding("garbage"))
        if not status or "dropped as bad_encoding" not in status.message:
            return False
        assert status.level == DiagnosticStatus.ERROR
        return True

    def is_over() -> bool:
        status = health(image_message(scene(0)))
        return bool(status and "dropped as" not in status.message)

    camera.wait(is_error)
    camera.wait(is_over)
    camera.exchange(image_message(scene(0)))  # none is on its way any more


def test_bad_frame_leaves_the_temporal_state(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    assert camera.changes(lambda: camera.send(truncated()))["dropped.bad_data"] == 1
    # Its pause is no gap: the stamps go on.
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


def test_the_log_tells_every_reason_of_every_camera(
    two_streams: tuple[StreamPeer, StreamPeer],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for message in (truncated(), truncated(), of_encoding("garbage"), truncated()):
        for peer in two_streams:
            assert peer.give(message, 10**9).startswith("dropped")
    told = capfd.readouterr().err
    for name in ("front", "rear"):
        for reason in ("bad_data", "bad_encoding"):
            assert told.count(f"{name}: frame dropped ({reason})") == 1
    monkeypatch.setattr(camera_stream, "LOG_PERIOD_S", 0.0)
    two_streams[0].give(truncated(), 10**9)
    assert capfd.readouterr().err.count("front: frame dropped (bad_data)") == 1


def test_frames_carry_their_numbers_and_the_log_says_where_there_are_none(
    two_streams: tuple[StreamPeer, StreamPeer], capfd: pytest.CaptureFixture[str]
) -> None:
    stream = two_streams[0].stream
    node, sender = LifecycleNode("numbers"), Peer()
    queue = FrameQueue([stream.counts], places=9, keep_newest=False)
    subscription = CameraSubscription(node, "numbers", 0, stream, queue, Settings())
    try:
        images = sender.publisher("numbers/image")

        def three_came() -> bool:
            images.publish(image_message(scene(0)))
            rclpy.spin_once(node, timeout_sec=0.1)
            return stream.counts.snapshot().waiting >= 3

        sender.wait(three_came)
        numbers = []
        for _ in range(3):
            numbers.append(queue.take([0])[0][1].sequence or 0)
        assert 0 < numbers[0] < numbers[1] < numbers[2]
        told = "frames of /numbers/image that are lost on the way cannot be counted: rmw_"
        assert told not in capfd.readouterr().err
        for _ in range(2):  # as a middleware gives them that does not number messages
            info = {"source_timestamp": 1, "received_timestamp": 2}
            subscription._take_image(image_message(scene(0)), info)  # type: ignore[arg-type]
        assert queue.take([0])[0][1].sequence is None
        assert capfd.readouterr().err.count(told) == 1
    finally:
        subscription.destroy()
        sender.close()
        node.destroy_node()


def test_clock_that_is_set_back_starts_anew_at_once(one_stream: StreamPeer) -> None:
    told = [
        one_stream.give(image_message(scene(index)), 10**9 + index * FRAME_PERIOD_NS, 100 + index)
        for index in (1, 2)
    ]
    assert told == ["stamp_back", "age 1"]
    late = one_stream.give(image_message(scene(1)), 10**9 + FRAME_PERIOD_NS, 101)
    assert late == "dropped (out_of_order)"


def test_clock_that_is_set_back_without_numbers_costs_one_frame(one_stream: StreamPeer) -> None:
    told, before_ns = [], 1000 * 10**9
    for index in range(1, 4):
        at_ns = 10**9 + index * FRAME_PERIOD_NS
        told.append(one_stream.give(image_message(scene(index)), at_ns, None, before_ns))
        before_ns = at_ns
    assert told == ["dropped (out_of_order)", "stamp_back", "age 1"]


def test_a_stream_that_was_stopped_begins_without_a_past(one_stream: StreamPeer) -> None:
    stream, limits = one_stream.stream, HealthLimits(latency_budget_ms=100.0, stale_after_s=1.0)
    stream.counts.receive(lost_before=9)
    stream.health.received(10**9)
    stream.forget()
    report = stream.health.report(300 * 10**9, stream.counts.snapshot(), limits)
    assert (report.level, report.message, report.is_lossy) == ("stale", "no frame yet", False)
    assert one_stream.give(image_message(scene(1)), 300 * 10**9) == "first"


@pytest.mark.parametrize("reason", ["reset", "forced"])
def test_what_is_to_start_anew_is_served_in_any_order(one_stream: StreamPeer, reason: str) -> None:
    one_stream.stream.force_keyframe(reason)
    assert one_stream.give(image_message(scene(1)), 999 * 10**9, 99) == reason
    assert one_stream.give(image_message(scene(2)), 999 * 10**9 + FRAME_PERIOD_NS, 100) == "age 1"


def test_gap_makes_a_keyframe(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    _, _, status = camera.exchange(image_message(scene(1)), camera.next_stamp(900_000_000))
    assert status["is_keyframe"] == "false"
    _, _, status = camera.exchange(image_message(scene(2)), camera.next_stamp(1_100_000_000))
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "gap")


def test_gap_of_frames_that_were_dropped_forgets_nothing(camera: CameraPeer) -> None:
    def after_a_drop() -> dict[str, str]:
        unknown, stamp = (
            image_message(scene(1), encoding="unheard_of"),
            camera.next_stamp(900_000_000),
        )
        change = camera.changes(lambda: camera.send(unknown, stamp))
        assert change["dropped.bad_encoding"] == 1
        return camera.exchange(image_message(scene(2)), camera.next_stamp(900_000_000))[2]

    camera.exchange(image_message(scene(0)))
    status = after_a_drop()
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "delay")
    assert camera.set(keyframe__mode="background").successful
    try:
        _, _, status = camera.exchange(image_message(scene(1)))
        assert status["keyframe_age"] == "1"
        # Waited for, as in the other mode: the labels are older than the gap.
        status = after_a_drop()
        assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "delay")
        assert status["keyframe_background"] == ""
        # But not again at once, which where keyframes take that long would never end.
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

    changes = camera.changes(flood)
    assert changes["sent"] == 60
    assert changes["served"] + changes["dropped"] == 60
    assert changes["dropped"] > 0
    assert set(changes) <= {"sent", "served", "dropped", "dropped.busy", "dropped.lost"}
    stamps = [stamp_ns(mask.header) for mask in camera.masks]
    assert stamps == sorted(stamps)


def test_frames_too_old_are_dropped(camera: CameraPeer) -> None:
    assert camera.set(frames__max_age=0.5).successful
    try:
        old = time.time_ns() - 2_000_000_000
        changes = camera.changes(lambda: camera.send(image_message(scene(0)), old))
        assert changes == {"sent": 1, "dropped": 1, "dropped.too_old": 1}
        image = image_message(scene(0))
        changes = camera.changes(lambda: camera.exchange(image, time.time_ns()))
    finally:
        assert camera.set(frames__max_age=0).successful
    assert changes == {"sent": 1, "served": 1}


def test_mutated_images_are_served_or_counted(camera: CameraPeer) -> None:
    random = np.random.default_rng(7)
    sample = image_message(scene(0, height=48, width=64))

    def storm() -> None:
        for _ in range(500):
            camera.send(mutated(sample, random))
            camera.spin(0.002)
        camera.exchange(image_message(scene(0)), timeout_s=SERVED_AGAIN_S)

    changes = camera.changes(storm)
    assert changes["sent"] == 501
    assert changes["served"] + changes["dropped"] == 501
    assert "dropped.failed" not in changes


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

    changes = camera.changes(storm)
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


def send_for_ever(frame_id: str, first_stamp_ns: int) -> None:
    """Run a camera at 30 Hz until it is killed."""
    rclpy.init()
    peer = rclpy.create_node("killed_camera")
    publisher = peer.create_publisher(Image, "/image", 5)
    stamp = first_stamp_ns
    while True:
        message = image_message(scene(0), frame_id=frame_id)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        publisher.publish(message)
        stamp += FRAME_PERIOD_NS
        time.sleep(0.033)


def kill_once_served(camera: CameraPeer, frame_id: str) -> None:
    """Run another camera of the topic until its first mask comes, and kill it."""
    # Between the stamps of this peer, which tells its own answers by them.
    first_stamp_ns = camera.next_stamp(5 * 10**9) + FRAME_PERIOD_NS // 2
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=send_for_ever, args=(frame_id, first_stamp_ns), daemon=True)
    process.start()
    camera.wait(lambda: any(mask.header.frame_id == frame_id for mask in camera.masks), START_S)
    process.kill()
    process.join()


def test_killed_camera_is_served_again_after_its_restart(camera: CameraPeer) -> None:
    kill_once_served(camera, "killed_camera")
    kill_once_served(camera, "restarted_camera")
    _, _, status = camera.exchange(image_message(scene(0)), timeout_s=SERVED_AGAIN_S)
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "publisher")
