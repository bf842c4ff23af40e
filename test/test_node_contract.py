# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Each row of the topic table, on a live node in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from ros_process import INTERVAL, CameraPeer, Peer, image_message, pixels_of, scene
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from gsvnet_model.checkpoint import load_model
from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.outputs.overlay import colorize, mark_keyframe, overlay
from gsvnet_model.stream.segmenter import VideoSegmenter
from gsvnet_ros.messages.message_fields import stamp_ns, status_values

LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def peer(camera: CameraPeer) -> Iterator[Peer]:
    """Somebody else on the graph."""
    peer = Peer()
    yield peer
    peer.close()


def collect(
    camera: CameraPeer, peer: Peer, image: Image, topics: dict[str, tuple[type[Any], QoSProfile]]
) -> dict[str, Any]:
    """Subscribe, send one image after the other, return one message per topic."""
    lists = {
        name: peer.listen(message_type, f"/segmentation/{name}", qos)
        for name, (message_type, qos) in topics.items()
    }

    def all_came() -> bool:
        camera.exchange(image)
        peer.spin(0.1)
        return all(lists.values())

    peer.wait(all_came)
    return {name: messages[-1] for name, messages in lists.items()}


def test_masks_and_confidences_equal_the_librarys(camera: CameraPeer, weights_path: Path) -> None:
    library = VideoSegmenter(load_model(weights_path, "cpu", "float32"), INTERVAL)
    seen = set()
    for index in range(2 * INTERVAL + 1):
        expected = library.step(scene(index))
        mask, confidence, status = camera.exchange(image_message(scene(index)))
        np.testing.assert_array_equal(pixels_of(mask), expected.labels)
        np.testing.assert_array_equal(pixels_of(confidence), expected.confidence)
        assert status["is_keyframe"] == str(expected.is_keyframe).lower()
        assert status["keyframe_age"] == str(expected.keyframe_age)
        seen.update(np.unique(expected.labels).tolist())
    assert len(seen) > 2  # an empty picture would agree with anything


def test_bgr_is_read_as_bgr(camera: CameraPeer, weights_path: Path) -> None:
    library = VideoSegmenter(load_model(weights_path, "cpu", "float32"))
    swapped = np.ascontiguousarray(scene(3)[..., ::-1])
    mask, _, _ = camera.exchange(image_message(swapped, "bgr8"))
    np.testing.assert_array_equal(pixels_of(mask), library.step(scene(3)).labels)
    library.reset()
    assert (library.step(swapped).labels != pixels_of(mask)).any()


def test_mask_and_confidence_are_mono8_without_padding_and_carry_the_header(
    camera: CameraPeer,
) -> None:
    image = image_message(scene(0), frame_id="front_optical")
    mask, confidence, _ = camera.exchange(image)
    for message in (mask, confidence):
        assert message.encoding == "mono8"
        assert (message.height, message.width) == (image.height, image.width)
        assert message.step == message.width
        assert len(message.data) == message.height * message.step
        assert message.header == image.header


def test_images_on_request_have_their_encodings(camera: CameraPeer, peer: Peer) -> None:
    image = image_message(scene(1))
    got = collect(
        camera,
        peer,
        image,
        {
            "mask": (Image, BEST_EFFORT),
            "confidence": (Image, BEST_EFFORT),
            "confidence_float": (Image, BEST_EFFORT),
            "color": (Image, BEST_EFFORT),
            "overlay": (Image, BEST_EFFORT),
            "mask/compressed": (CompressedImage, BEST_EFFORT),
        },
    )
    mask, confidence = pixels_of(got["mask"]), pixels_of(got["confidence"])
    floats = got["confidence_float"]
    assert (floats.encoding, floats.step) == ("32FC1", 4 * floats.width)
    values = np.frombuffer(floats.data, np.float32).reshape(mask.shape)
    np.testing.assert_allclose(values, confidence / 255.0, rtol=1e-6)
    palette = CAMVID.palette_array()
    expected_overlay = overlay(scene(1), mask, palette)
    if status_values(camera.statuses[-1])["is_keyframe"] == "true":
        mark_keyframe(expected_overlay)
    for name, expected in (
        ("color", colorize(mask, palette)),
        ("overlay", expected_overlay),
    ):
        assert (got[name].encoding, got[name].step) == ("rgb8", 3 * got[name].width)
        np.testing.assert_array_equal(pixels_of(got[name], channels=3), expected)
    assert got["mask/compressed"].format == "mono8; png compressed"
    png = np.frombuffer(got["mask/compressed"].data, np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), mask)
    assert len({stamp_ns(message.header) for message in got.values()}) == 1


def test_outputs_are_reliable_and_class_topics_latched(camera: CameraPeer) -> None:
    expected = {
        **dict.fromkeys(
            ("mask", "confidence", "confidence_float", "color", "overlay", "mask/compressed"),
            DurabilityPolicy.VOLATILE,
        ),
        "camera_info": DurabilityPolicy.VOLATILE,
        "status": DurabilityPolicy.VOLATILE,
        "class_map": DurabilityPolicy.TRANSIENT_LOCAL,
    }
    for name, durability in expected.items():
        (info,) = camera.node.get_publishers_info_by_topic(f"/segmentation/{name}")
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE, name
        assert info.qos_profile.durability == durability, name


def test_image_subscription_takes_any_publisher_and_can_be_overridden(camera: CameraPeer) -> None:
    (info,) = camera.node.get_subscriptions_info_by_topic("/image")
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert info.qos_profile.durability == DurabilityPolicy.VOLATILE
    assert camera.get("qos_overrides./image.subscription.depth") == 1
    assert camera.get("qos_overrides./image.subscription.reliability") == "best_effort"


def test_best_effort_camera_is_served(camera: CameraPeer, peer: Peer) -> None:
    publisher = peer.node.create_publisher(Image, "/image", qos_profile_sensor_data)
    peer.wait(lambda: publisher.get_subscription_count() > 0)
    masks = peer.listen(Image, "/segmentation/mask", qos_profile_sensor_data)

    def send() -> bool:
        message = image_message(scene(0), frame_id="best_effort")
        peer.stamp(message, camera.next_stamp())
        publisher.publish(message)
        peer.spin(0.2)
        return any(mask.header.frame_id == "best_effort" for mask in masks)

    peer.wait(send)


def test_late_subscriber_gets_the_classes(camera: CameraPeer, peer: Peer) -> None:
    messages = peer.listen(String, "/segmentation/class_map", LATCHED)
    peer.wait(lambda: messages)
    message = json.loads(messages[0].data)
    names = {entry["class_id"]: entry["class_name"] for entry in message["class_map"]}
    assert names == dict(enumerate(CAMVID.names))
    assert message["unlabeled"] == 255


def test_label_info_where_vision_msgs_is_installed(camera: CameraPeer, peer: Peer) -> None:
    messages = pytest.importorskip("vision_msgs.msg")
    infos = peer.listen(messages.LabelInfo, "/segmentation/label_info", LATCHED)
    visions = peer.listen(messages.VisionInfo, "/segmentation/vision_info", LATCHED)
    peer.wait(lambda: infos and visions)
    names = {entry.class_id: entry.class_name for entry in infos[0].class_map}
    assert names == dict(enumerate(CAMVID.names))
    assert visions[0].database_location == "/segmentation.classes.database"


def test_class_database_parameter_holds_names_and_colours(camera: CameraPeer) -> None:
    database = json.loads(camera.get("classes.database"))
    assert [entry["name"] for entry in database] == list(CAMVID.names)
    assert [tuple(entry["color"]) for entry in database] == list(CAMVID.palette)


def test_camera_info_is_scaled_to_the_mask(camera: CameraPeer, peer: Peer) -> None:
    publisher = peer.node.create_publisher(CameraInfo, "/camera_info", 1)
    peer.wait(lambda: publisher.get_subscription_count() > 0)
    info = CameraInfo(height=120, width=160, distortion_model="plumb_bob", d=[0.1, 0.2])
    info.k = [100.0, 0.0, 80.0, 0.0, 110.0, 60.0, 0.0, 0.0, 1.0]
    info.p = [100.0, 0.0, 80.0, -5.0, 0.0, 110.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert camera.set(output__width=80).successful
    try:
        infos = peer.listen(CameraInfo, "/segmentation/camera_info")

        def came() -> bool:
            publisher.publish(info)
            peer.spin(0.1)
            camera.exchange(image_message(scene(0)))
            return bool(infos)

        peer.wait(came)
        mask, _, _ = camera.exchange(image_message(scene(0)))
        peer.wait(lambda: infos[-1].header == mask.header)
    finally:
        assert camera.set(output__width=0).successful
    assert (mask.height, mask.width) == (60, 80)
    scaled = infos[-1]
    assert (scaled.height, scaled.width) == (60, 80)
    assert scaled.k.tolist() == [50.0, 0.0, 40.0, 0.0, 55.0, 30.0, 0.0, 0.0, 1.0]
    assert scaled.p.tolist() == [50.0, 0.0, 40.0, -2.5, 0.0, 55.0, 30.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert list(scaled.d) == [0.1, 0.2]


def test_outputs_of_a_long_narrow_image_are_bounded(camera: CameraPeer) -> None:
    """The longer side would follow from the shape: 320x80000 pixels, and gigabytes for others."""
    assert camera.set(output__width=320).successful
    try:
        narrow = image_message(np.zeros((4000, 16, 3), np.uint8))
        changes = camera.changes(lambda: camera.send(narrow))
        assert changes == {"sent": 1, "dropped": 1, "dropped.bad_size": 1}
        mask, _, _ = camera.exchange(image_message(scene(0)))
        assert (mask.height, mask.width) == (240, 320)
    finally:
        assert camera.set(output__width=0).successful


def test_status_tells_where_the_labels_come_from(camera: CameraPeer) -> None:
    mask, _, status = camera.exchange(image_message(scene(0)))
    seconds, nanoseconds = status["stamp"].split(".")
    assert int(seconds) * 10**9 + int(nanoseconds) == stamp_ns(mask.header)
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "reset")
    _, _, status = camera.exchange(image_message(scene(1)))
    assert (status["is_keyframe"], status["keyframe_age"]) == ("false", "1")
    assert float(status["change"]) > 0.0
    assert status["batch_size"] == "1"
    for stage in ("decode_ms", "step_ms", "publish_ms", "latency_ms"):
        assert float(status[stage]) >= 0.0 or stage == "latency_ms"


def test_diagnostics_come_every_second_with_device_and_memory(camera: CameraPeer) -> None:
    camera.diagnostics.clear()
    camera.wait(lambda: len(camera.diagnostics) >= 4)
    first, *_, fourth = (stamp_ns(array.header) for array in camera.diagnostics[:4])
    assert 1.5e9 < fourth - first < 9e9  # one that is late does not delay the next
    node = camera.diagnostics[0].status[0]
    assert node.name == "segmentation"
    assert node.level == DiagnosticStatus.OK
    values = status_values(node)
    assert (values["state"], values["device"]) == ("active", "cpu")
    assert float(values["memory_mib"]) > 10.0
