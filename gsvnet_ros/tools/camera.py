# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The camera process: publishes a source of images as a camera driver would.

`ros2 run gsvnet_ros camera --ros-args -p source:=street.mp4 -r image:=/camera/image`
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gsvnet_lab.extras import OFFLINE, require_extra

# Before the imports that need the extra:
# ruff: noqa: E402
require_extra("camera", OFFLINE)

from gsvnet_lab.data.images import BUILT_IN, open_images
from gsvnet_offline.sources import ImageSource
from gsvnet_ros.messages.image_messages import rgb8_message
from gsvnet_ros.startup.interruption import until_shutdown
from gsvnet_ros.startup.node_arguments import check_node_arguments
from gsvnet_ros.tools.start_parameters import start_parameter

_PARAMETERS: tuple[tuple[str, bool | int | float | str, str], ...] = (
    ("source", BUILT_IN, "street (built in), an image folder, a video file or a camera number."),
    ("rate", 0.0, "Images per second, in Hz; 0 takes the source's own."),
    ("frames", 0, "Number of images to publish; 0 takes all there are."),
    ("width", 0, "Columns to resize to, in pixels; 0 keeps the source's own size."),
    ("height", 0, "Rows to resize to, in pixels; given with the width."),
    ("transport", "raw", "raw publishes image, compressed publishes image/compressed (JPEG)."),
    ("jpeg_quality", 90, "Quality of the JPEGs, 1 to 100."),
    ("frame_id", "camera_optical_frame", "frame_id of the headers."),
    ("subscribers", 1, "Wait for this many subscribers before the first image."),
    ("lockstep", False, "Publish an image only when the mask of the one before has come back."),
    ("answer_timeout", 60.0, "With lockstep: go on without the mask after this long, in s."),
    ("frame_log", "", "File to write a line 'index stamp_ns' to for every image published."),
)

_LINGER_S = 1.0
"""The segment of a publisher ends with it; the last image must have been read by then."""


class Camera(Node):
    """Publishes images with the stamp of their publication; parameters as `_PARAMETERS` says.

    Raises:
        ValueError: if a given parameter is wrong.
    """

    def __init__(self) -> None:
        super().__init__("camera")
        self._values: dict[str, Any] = {
            name: start_parameter(self, name, default, description)
            for name, default, description in _PARAMETERS
        }
        if not 1 <= self._value("jpeg_quality") <= 100:
            raise ValueError(
                f"jpeg_quality: expected a value from 1 to 100, got {self._value('jpeg_quality')}"
            )
        # Reliable serves every subscriber; the depth leaves a slow one time to fetch an image.
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        transport = self._value("transport")
        if transport not in ("raw", "compressed"):
            raise ValueError(f"transport: expected raw or compressed, got '{transport}'")
        self._compresses = transport == "compressed"
        self._publisher = (
            self.create_publisher(CompressedImage, "image/compressed", qos)
            if self._compresses
            else self.create_publisher(Image, "image", qos)
        )
        self._answered_ns = 0
        self._masks = (
            self.create_subscription(Image, "mask", self._take_mask, qos)
            if self._value("lockstep")
            else None
        )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def open_source(self) -> ImageSource:
        """Open the source that the parameters name.

        Raises:
            ValueError: if it cannot be read.
        """
        width, height = self._value("width"), self._value("height")
        return open_images(
            self._value("source"),
            height or None,
            width or None,
            self._value("rate") or None,
            self._value("frames") or None,
        )

    def play(self, source: ImageSource) -> int:
        """Publish all images at the source's rate and return their number."""
        self._wait_for_subscribers()
        path = self._value("frame_log")
        with Path(path).open("w", buffering=1) if path else nullcontext() as frame_log:
            published = self._play(source, frame_log)
        time.sleep(_LINGER_S)
        return published

    def _play(self, source: ImageSource, frame_log: TextIO | None) -> int:
        lockstep = self._value("lockstep")
        period_s = 0.0 if source.is_live or lockstep else 1.0 / source.rate_hz
        due_s = time.monotonic()
        published = 0
        for image in source.images():
            if not rclpy.ok():
                break
            message = self._message(image)
            # A source that falls behind continues from there instead of catching up in a burst.
            due_s = max(due_s, time.monotonic() - period_s)
            time.sleep(max(0.0, due_s - time.monotonic()))
            due_s += period_s
            stamp = self.get_clock().now()
            message.header.stamp = stamp.to_msg()
            self._publisher.publish(message)
            if frame_log is not None:
                frame_log.write(f"{published} {stamp.nanoseconds}\n")
            published += 1
            if lockstep:
                self._wait_for_answer(stamp.nanoseconds)
        return published

    def _message(self, image: NDArray[np.uint8]) -> Image | CompressedImage:
        header = Header(frame_id=self._value("frame_id"))
        if not self._compresses:
            return rgb8_message(header, image)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._value("jpeg_quality")]
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        message = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
        message.data.frombytes(jpeg.data)
        return message

    def _wait_for_subscribers(self) -> None:
        wanted = self._value("subscribers")
        while self._publisher.get_subscription_count() < wanted or not self._hears_masks():
            self._executor.spin_once(timeout_sec=0.1)
        # Both ends learn of each other one after the other; the first image must not fall between.
        time.sleep(0.5)

    def _hears_masks(self) -> bool:
        # The name after remapping, which count_publishers leaves to its caller.
        return self._masks is None or self.count_publishers(self._masks.topic_name) > 0

    def _wait_for_answer(self, stamp_ns: int) -> None:
        deadline_s = time.monotonic() + self._value("answer_timeout")
        while self._answered_ns < stamp_ns:
            if time.monotonic() > deadline_s:
                self.get_logger().warning(f"no mask came back for the image of {stamp_ns} ns")
                return
            self._executor.spin_once(timeout_sec=0.1)

    def _take_mask(self, mask: Image) -> None:
        self._answered_ns = max(self._answered_ns, Time.from_msg(mask.header.stamp).nanoseconds)

    def _value(self, name: str) -> Any:
        return self._values[name]


def main() -> int:
    """Run the camera until its source ends or it is interrupted."""
    check_node_arguments("camera", "Publishes a source of images as a camera would.", _PARAMETERS)
    rclpy.init()
    try:
        with until_shutdown():
            camera = Camera()
            source = camera.open_source()
            camera.get_logger().info(f"publishing at {source.rate_hz:g} Hz")
            published = camera.play(source)
            camera.get_logger().info(f"published {published} images")
    except (OSError, ValueError) as error:
        print(f"camera: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
