# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What the log says of topics that are not as they should be, and that it cures them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_process import RELIABLE, START_S, Peer, image_message, scene
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gsvnet_ros.messages.message_fields import status_values
from gsvnet_ros.startup.processes import LoggedProcess, ros_arguments

NAMESPACE = "/topics"
CAMERAS = (
    "latched",
    "durable",
    "mixed",
    "frames",
    "unstamped",
    "boot",
    "future",
    "strict",
    "jpeg",
    "beside",
    "uncalibrated",
    "huge",
)
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture(scope="module")
def log(ros: None, tmp_path_factory: pytest.TempPathFactory, weights_path: Path) -> Iterator[Path]:
    """The log of a node that has one camera for every case."""
    path = tmp_path_factory.mktemp("topics") / "log.txt"
    overrides = f"qos_overrides.{NAMESPACE}"
    arguments = ros_arguments(
        {
            "model.weights": str(weights_path),
            "model.device": "cpu",
            "model.precision": "float32",
            "cameras": list(CAMERAS),
            f"{overrides}/durable/image.subscription.durability": "transient_local",
            f"{overrides}/strict/image.subscription.reliability": "reliable",
        }
    )
    arguments += ["-r", f"__ns:={NAMESPACE}", "-r", "beside/image:=/driver/image_raw"]
    process = LoggedProcess("node", "gsvnet_ros.segmentation_node", arguments, path)
    peer = Peer(NAMESPACE)
    peer.wait(lambda: path.read_text().count("serving") == len(CAMERAS), START_S)
    peer.close()
    yield path
    assert process.stop() == 0, process.log_tail()


@pytest.fixture
def peer(log: Path) -> Iterator[Peer]:
    """Somebody else on the graph."""
    peer = Peer(NAMESPACE)
    yield peer
    peer.close()


def lines(log: Path, *texts: str) -> list[str]:
    """Return the lines of a log that have all of these texts."""
    return [line for line in log.read_text().splitlines() if all(text in line for text in texts)]


def camera_diagnostics(peer: Peer, camera: str) -> Callable[[], list[DiagnosticStatus]]:
    """Return what gives the diagnostics of a camera from now on."""
    arrays = peer.listen(DiagnosticArray, "/diagnostics")
    title = f"{NAMESPACE[1:]}/segmentation: {camera}"
    return lambda: [status for array in arrays for status in array.status if status.name == title]


def stream(
    peer: Peer, publish: Callable[[], object], until: Callable[[], object], period_s: float = 0.1
) -> None:
    """Publish again and again until something holds."""

    def holds() -> bool:
        publish()
        peer.spin(period_s)
        return bool(until())

    peer.wait(holds, START_S)


def counts(status: DiagnosticStatus) -> tuple[int, int]:
    """Return how many frames were sent and served."""
    values = status_values(status)
    return int(values["sent"]), int(values["served"])


def test_a_single_latched_image_is_served_once(log: Path, peer: Peer) -> None:
    masks = peer.listen(Image, f"{peer.node_name}/latched/mask", RELIABLE)
    diagnostics = camera_diagnostics(peer, "latched")
    peer.wait(lambda: peer.node.count_publishers(f"{peer.node_name}/latched/mask"))
    publisher = peer.node.create_publisher(Image, "latched/image", LATCHED)
    message = image_message(scene(0))
    peer.stamp(message, peer.next_stamp())
    publisher.publish(message)
    peer.wait(lambda: diagnostics() and counts(diagnostics()[-1]) == (1, 1), START_S)
    assert masks[-1].header == message.header
    # What it publishes now comes as from any camera, and once.
    peer.stamp(message, peer.next_stamp())
    publisher.publish(message)
    peer.wait(lambda: counts(diagnostics()[-1]) == (2, 2), START_S)
    peer.spin(2.0)
    assert counts(diagnostics()[-1]) == (2, 2)


def test_durability_can_be_overridden_and_is_told_where_it_does_not_fit(
    log: Path, peer: Peer
) -> None:
    name = f"qos_overrides.{NAMESPACE}/durable/image.subscription.durability"
    assert peer.get(name) == "transient_local"
    assert peer.get(name.replace("durable", "latched")) == "volatile"
    assert not lines(log, "is of no subscription")
    peer.node.create_publisher(Image, "durable/image", 1)
    peer.wait(lambda: lines(log, "/durable/image", "offers durability volatile"), START_S)
    (line,) = lines(log, "/durable/image", "offers durability volatile")
    assert f"start it with {name}:=volatile" in line
    assert f"'{NAMESPACE}/{peer.node.get_name()}'" in line


def test_reliability_that_does_not_fit_is_told_with_its_parameter(log: Path, peer: Peer) -> None:
    peer.node.create_publisher(Image, "strict/image", BEST_EFFORT)
    name = f"qos_overrides.{NAMESPACE}/strict/image.subscription.reliability"
    peer.wait(lambda: lines(log, "/strict/image", f"start it with {name}:=best_effort"), START_S)
    assert len(lines(log, "no frame on", "/strict/image", "publisher")) <= 2


def test_two_publishers_of_one_topic_are_named(log: Path, peer: Peer) -> None:
    others = [rclpy.create_node(name, namespace=NAMESPACE) for name in ("left_eye", "right_eye")]
    try:
        publishers = [node.create_publisher(Image, "mixed/image", 1) for node in others]
        numbers = iter(range(10**6))

        def publish() -> None:
            number = next(numbers)
            message = image_message(scene(0), frame_id=f"eye\n{number % 2}")
            peer.stamp(message, peer.next_stamp())
            publishers[number % 2].publish(message)

        stream(peer, publish, lambda: lines(log, "/mixed/image", "in turn"))
        (line,) = lines(log, "/mixed/image", "in turn")
        assert f"'{NAMESPACE}/left_eye' (frame_id 'eye\\n0')" in line
        assert f"'{NAMESPACE}/right_eye' (frame_id 'eye\\n1')" in line
        # What it says cures it: all but one are stopped.
        others.pop().destroy_node()

        def publish_one() -> None:
            message = image_message(scene(0), frame_id="left")
            peer.stamp(message, peer.next_stamp())
            publishers[0].publish(message)

        stream(peer, publish_one, lambda: lines(log, "/mixed/image", "from one publisher"))
        assert len(lines(log, "/mixed/image", "in turn")) == 1
    finally:
        for node in others:
            node.destroy_node()


def test_frame_ids_that_alternate_are_named(log: Path, peer: Peer) -> None:
    publisher = peer.node.create_publisher(Image, "frames/image", 1)
    numbers = iter(range(10**6))

    def publish() -> None:
        message = image_message(scene(0), frame_id=("left", "right")[next(numbers) % 2])
        peer.stamp(message, peer.next_stamp())
        publisher.publish(message)

    stream(peer, publish, lambda: lines(log, "/frames/image", "in turn"))
    (line,) = lines(log, "/frames/image", "in turn")
    assert f"'{NAMESPACE}/{peer.node.get_name()}' (frame_id 'left' and 'right')" in line


@pytest.mark.parametrize(
    ("camera", "offset_s", "cure"),
    [
        ("unstamped", None, "let the camera driver stamp its images"),
        ("boot", -1_700_000_000, "let the camera driver stamp with the system time"),
        ("future", 86400, "synchronise the clocks"),
    ],
)
def test_stamps_of_another_time_are_served_and_told_once(
    log: Path, peer: Peer, camera: str, offset_s: int | None, cure: str
) -> None:
    diagnostics = camera_diagnostics(peer, camera)
    statuses = peer.listen(DiagnosticStatus, f"{peer.node_name}/{camera}/status")
    publisher = peer.node.create_publisher(Image, f"{camera}/image", 1)
    message = image_message(scene(0))
    assert peer.set(frames__max_age=0.5).successful

    def publish(offset_ns: int | None) -> None:
        peer.stamp(message, 0 if offset_ns is None else time.time_ns() + offset_ns)
        publisher.publish(message)

    try:
        offset_ns = None if offset_s is None else offset_s * 10**9
        stream(peer, lambda: publish(offset_ns), lambda: lines(log, f"/{camera}/image: stamps"))
        assert cure in lines(log, f"/{camera}/image: stamps")[0]
        diagnostics().clear()
        stream(
            peer,
            lambda: publish(offset_ns),
            lambda: diagnostics() and "not of one time" in diagnostics()[-1].message,
        )
        values = status_values(diagnostics()[-1])
        assert "latency_ms_p50" not in values and "dropped.too_old" not in values
        assert bytes(diagnostics()[-1].level) == DiagnosticStatus.WARN
        assert statuses and "latency_ms" not in status_values(statuses[-1])
        assert "step_ms" in status_values(statuses[-1])
        # What it says cures it.
        stream(peer, lambda: publish(0), lambda: lines(log, f"{camera}/image", "one time again"))
        stream(peer, lambda: publish(0), lambda: "latency_ms" in status_values(statuses[-1]))
        assert len(lines(log, f"/{camera}/image: stamps")) == 2
    finally:
        assert peer.set(frames__max_age=0.0).successful


def test_compressed_images_where_raw_ones_are_expected_tell_both_steps(
    log: Path, peer: Peer
) -> None:
    peer.node.create_publisher(CompressedImage, "jpeg/image", 1)
    text = "/jpeg/image carries 'sensor_msgs/msg/CompressedImage'"
    peer.wait(lambda: lines(log, "no frame on", text), START_S)
    (line,) = lines(log, "no frame on", text)
    assert "set image_transport to compressed and remap jpeg/image/compressed to " in line


def test_calibration_is_taken_beside_the_images(log: Path, peer: Peer) -> None:
    """Although only the images were remapped."""
    infos = peer.listen(CameraInfo, f"{peer.node_name}/beside/camera_info")
    images = peer.node.create_publisher(Image, "/driver/image_raw", 1)
    calibrations = peer.node.create_publisher(CameraInfo, "/driver/camera_info", 1)
    message = image_message(scene(0))

    def publish() -> None:
        calibrations.publish(CameraInfo(height=120, width=160))
        peer.stamp(message, peer.next_stamp())
        images.publish(message)

    stream(peer, publish, lambda: infos)
    assert not lines(log, "no calibration", "beside")


def test_missing_calibration_is_told_where_somebody_wants_it(log: Path, peer: Peer) -> None:
    publisher = peer.node.create_publisher(Image, "uncalibrated/image", 1)
    message = image_message(scene(0))

    def publish() -> None:
        peer.stamp(message, peer.next_stamp())
        publisher.publish(message)

    peer.listen(CameraInfo, f"{peer.node_name}/uncalibrated/camera_info")
    topic = f"{NAMESPACE}/uncalibrated/camera_info"
    stream(peer, publish, lambda: lines(log, f"no calibration on {topic}"))


def test_losses_are_counted_and_cured_where_nothing_arrives(log: Path, peer: Peer) -> None:
    """Images of 4K without a transport profile: none comes, and both processes need one."""
    diagnostics = camera_diagnostics(peer, "huge")
    publisher = peer.node.create_publisher(Image, "huge/image", BEST_EFFORT)
    peer.wait(lambda: publisher.get_subscription_count() > 0)
    message = image_message(np.zeros((2160, 3840, 3), np.uint8))
    stream(
        peer, lambda: publisher.publish(message), lambda: lines(log, "huge/image", "are lost"), 0.2
    )
    (line,) = lines(log, "huge/image", "are lost")
    assert "start camera and node with FASTRTPS_DEFAULT_PROFILES_FILE" in line
    assert "fastdds_shm.xml" in line
    peer.wait(lambda: diagnostics() and counts(diagnostics()[-1])[0] > 2)
    values = status_values(diagnostics()[-1])
    assert int(values["dropped.lost"]) > 0
    assert not lines(log, "no frame on", "huge/image", "nothing has come")


def test_two_nodes_of_one_name_are_told(log: Path, peer: Peer) -> None:
    twin = rclpy.create_node("segmentation", namespace=NAMESPACE)
    try:
        peer.wait(lambda: lines(log, f"2 nodes are called {NAMESPACE}/segmentation"), START_S)
    finally:
        twin.destroy_node()
    (line,) = lines(log, "nodes are called")
    assert "1 of them publish diagnostics" in line


@pytest.mark.parametrize("remapped", ["image/compressed", "image"])
def test_compressed_images_of_any_name_can_be_subscribed_to(
    ros: None, tmp_path: Path, weights_path: Path, remapped: str
) -> None:
    """And where the user remaps what has no effect, the log says what has."""
    path = tmp_path / "log.txt"
    namespace = f"/axis{remapped.count('/')}"
    arguments = [
        *ros_arguments({"model.weights": str(weights_path), "image_transport": "compressed"}),
        *("-r", f"__ns:={namespace}", "-r", f"{remapped}:={namespace}/jpeg"),
    ]
    process = LoggedProcess("node", "gsvnet_ros.segmentation_node", arguments, path)
    peer = Peer(namespace)
    try:
        masks = peer.listen(Image, f"{peer.node_name}/mask")
        publisher = peer.node.create_publisher(CompressedImage, "jpeg", 1)
        peer.wait(lambda: lines(path, "serving"), START_S)
        message = CompressedImage(format="jpeg")
        message.data.frombytes(cv2.imencode(".jpg", scene(0))[1].tobytes())

        def publish() -> None:
            peer.stamp(message, peer.next_stamp())
            publisher.publish(message)

        if remapped == "image/compressed":
            stream(peer, publish, lambda: masks)
        else:
            stream(peer, publish, lambda: lines(path, "no frame on"))
            (line,) = lines(path, "no frame on")
            assert f"remap image/compressed to '{namespace}/jpeg'" in line
            assert "remap image to" not in line
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()
