# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Outputs that nobody listens to cost nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.lifecycle import LifecycleNode
from ros_process import Peer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.outputs.merge import merge_classes
from gsvnet_model.stream.segmenter import Segmentation
from gsvnet_ros.node import output_publishers
from gsvnet_ros.node.output_publishers import OutputPublishers
from gsvnet_ros.node.parameters import make_settings

BUILDERS = {
    "mask": (Image, "mono8_message"),
    "confidence": (Image, "mono8_message"),
    "confidence_float": (Image, "probability_message"),
    "color": (Image, "colorize"),
    "overlay": (Image, "overlay"),
    "mask/compressed": (CompressedImage, "png_message"),
    "camera_info": (CameraInfo, "scale_camera_info"),
}
SEGMENTATION = Segmentation(
    labels=np.zeros((32, 48), np.uint8),
    confidence=np.full((32, 48), 200, np.uint8),
    is_keyframe=True,
    keyframe_age=0,
    reason="first",
    background="",
    change=0.0,
    disagreement=0.0,
    batch_size=1,
    stage_ms={},
)


@pytest.mark.parametrize("topic", BUILDERS)
def test_only_what_somebody_listens_to_is_built(
    ros: None, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    built: list[str] = []
    for builder in {builder for _, builder in BUILDERS.values()}:
        original = getattr(output_publishers, builder)

        def recorded(*args: object, builder: str = builder, original: object = original) -> object:
            built.append(builder)
            assert callable(original)
            return original(*args)

        monkeypatch.setattr(output_publishers, builder, recorded)
    node = LifecycleNode("outputs")
    peer = Peer()
    outputs = OutputPublishers(node, "/outputs/", "test")
    image = np.zeros((32, 48, 3), np.uint8)

    def publish() -> list[str]:
        built.clear()
        outputs.publish(
            Header(),
            image,
            SEGMENTATION,
            CameraInfo(),
            merge_classes(CAMVID, ()),
            make_settings({}),
        )
        return list(built)

    try:
        assert publish() == []
        message_type, builder = BUILDERS[topic]
        received = peer.listen(message_type, f"/outputs/{topic}")
        peer.wait(lambda: peer.node.count_publishers(f"/outputs/{topic}") == 1)
        peer.wait(lambda: publish() and received)
        assert publish() == [builder]
    finally:
        peer.close()
        outputs.destroy()
        node.destroy_node()


BAD_CALIBRATION = """
import sys
import numpy as np
import rclpy
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from test_output_publishers import SEGMENTATION
from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.outputs.merge import merge_classes
from gsvnet_ros.node.output_publishers import OutputPublishers
from gsvnet_ros.node.parameters import make_settings

rclpy.init()
node, listener = LifecycleNode("outputs"), rclpy.create_node("listener")
outputs = OutputPublishers(node, "/bad/", "test")
received = []
listener.create_subscription(CameraInfo, "/bad/camera_info", received.append, 10)
while not outputs.has_calibration_users:
    rclpy.spin_once(listener, timeout_sec=0.1)
image = np.zeros((32, 48, 3), np.uint8)
huge = 2**32 - 1
good = CameraInfo(width=48, height=32)
bad = [CameraInfo(width=huge), CameraInfo(width=48, binning_x=huge), CameraInfo(k=[np.nan] * 9)]
for info in [good, *bad, good, bad[0]]:
    outputs.publish(
        Header(), image, SEGMENTATION, info, merge_classes(CAMVID, ()), make_settings({})
    )
for _ in range(50):
    rclpy.spin_once(listener, timeout_sec=0.1)
    if len(received) >= 2:
        break
print("published", len(received))
"""


@pytest.mark.parametrize("checks_fields", ["0", "1"])
def test_a_bad_calibration_costs_itself_and_one_warning(checks_fields: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BAD_CALIBRATION],
        cwd=Path(__file__).parent,
        env={**os.environ, "ROS_PYTHON_CHECK_FIELDS": checks_fields},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout == "published 2\n", done.stderr
    assert done.stderr.count("calibration makes no sense") == 2
    assert "Traceback" not in done.stderr
