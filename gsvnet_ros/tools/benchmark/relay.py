# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The floor: a node that sends masks of the right size at once, without looking at the image."""

from __future__ import annotations

import sys

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from gsvnet_ros.messages.image_messages import mono8_message
from gsvnet_ros.node.output_publishers import RELIABLE
from gsvnet_ros.startup.interruption import until_shutdown


class Relay(Node):
    """Answers every image with a mask and a confidence of zeros, as any node in Python could."""

    def __init__(self) -> None:
        super().__init__("relay")
        self._mask = self.create_publisher(Image, "~/mask", RELIABLE)
        self._confidence = self.create_publisher(Image, "~/confidence", RELIABLE)
        self.create_subscription(Image, "relay_image", self._answer, qos_profile_sensor_data)

    def _answer(self, image: Image) -> None:
        empty = np.zeros((image.height, image.width), np.uint8)
        self._mask.publish(mono8_message(image.header, empty))
        self._confidence.publish(mono8_message(image.header, empty))


def main() -> int:
    """Relay until interrupted."""
    rclpy.init()
    relay = Relay()
    try:
        with until_shutdown():
            rclpy.spin(relay)
    finally:
        relay.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
