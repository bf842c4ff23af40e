# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The recorder: subscribes to the node's outputs and keeps them.

`ros2 run gsvnet_ros recorder --ros-args -p output:=recorded -r __ns:=/segmentation` writes the
masks and confidences as PNGs, named by their stamps, when it is interrupted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gsvnet_ros.messages.image_messages import rgb_from_compressed, rgb_from_image
from gsvnet_ros.messages.message_fields import stamp_ns, status_stamp_ns, status_values
from gsvnet_ros.startup.interruption import until_shutdown
from gsvnet_ros.startup.node_arguments import check_node_arguments
from gsvnet_ros.tools.recording import Recording, save_masks
from gsvnet_ros.tools.start_parameters import start_parameter

_OUTPUT = ("output", "recorded", "Folder for the PNGs.")

# Deep enough that a burst after a slow write is not overwritten.
_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


class Recorder(Node):
    """Keeps masks, confidences, statuses and diagnostics, and on request the images.

    Args:
        recording: where the frames go.
        arguments: ROS arguments of this node, such as remappings.
    """

    def __init__(self, recording: Recording, arguments: list[str] | None = None) -> None:
        super().__init__("recorder", cli_args=arguments)
        self.recording = recording
        self.diagnostics: dict[str, Mapping[str, str]] = {}
        self.num_diagnostics = 0
        self.create_subscription(Image, "mask", self._take_mask, _QOS)
        self.create_subscription(Image, "confidence", self._take_confidence, _QOS)
        self.create_subscription(DiagnosticStatus, "status", self._take_status, _QOS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, _QOS)

    def record_images(self, transport: str) -> None:
        """Subscribe to the images too: those of a live camera cannot be read again.

        Args:
            transport: raw or compressed.
        """
        if transport == "compressed":
            self.create_subscription(
                CompressedImage,
                "image/compressed",
                lambda message: self._keep_image(message.header, rgb_from_compressed(message)),
                _QOS,
            )
        else:
            self.create_subscription(
                Image,
                "image",
                lambda message: self._keep_image(message.header, rgb_from_image(message)),
                _QOS,
            )

    def _keep_image(self, header: Header, image: NDArray[np.uint8]) -> None:
        self.recording.add_image(stamp_ns(header), image)

    def _take_mask(self, message: Image) -> None:
        received_ns = self.get_clock().now().nanoseconds
        self.recording.add_mask(stamp_ns(message.header), _mono8(message), received_ns)

    def _take_confidence(self, message: Image) -> None:
        self.recording.add_confidence(stamp_ns(message.header), _mono8(message))

    def _take_status(self, message: DiagnosticStatus) -> None:
        values = status_values(message)
        self.recording.frame(status_stamp_ns(values)).status = values

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        self.num_diagnostics += 1
        for status in message.status:
            self.diagnostics[status.name] = status_values(status)


def _mono8(message: Image) -> NDArray[np.uint8]:
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return rows[:, : message.width]


def main() -> int:
    """Record until interrupted, then write the PNGs.

    Returns:
        The exit status: 0, or 1 when a parameter was wrong.
    """
    check_node_arguments(
        "recorder", "Keeps masks and confidences of the segmentation node as PNGs.", [_OUTPUT]
    )
    rclpy.init()
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(Path(folder))
        recorder = Recorder(recording)
        try:
            output = Path(str(start_parameter(recorder, *_OUTPUT)))
            with until_shutdown():
                rclpy.spin(recorder)
        except ValueError as error:
            print(f"recorder: {error}", file=sys.stderr)
            return 1
        finally:
            rclpy.try_shutdown()
        stamps = recording.labelled_stamps()
        save_masks(recording, {stamp_ns: str(stamp_ns) for stamp_ns in stamps}, output)
        recording.close()
        print(f"recorder: {len(stamps)} masks written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
