# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The output topics of one camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from gsvnet_model.images.resize import resize_image
from gsvnet_model.outputs.consumer import consumer_outputs, output_size
from gsvnet_model.outputs.merge import MergedClasses
from gsvnet_model.outputs.overlay import colorize, draw_legend, mark_keyframe, overlay
from gsvnet_model.stream.segmenter import Segmentation
from gsvnet_ros.messages.camera_calibration import scale_camera_info
from gsvnet_ros.messages.class_messages import ClassPublisher
from gsvnet_ros.messages.image_messages import (
    mono8_message,
    png_message,
    probability_message,
    rgb8_message,
)
from gsvnet_ros.node.parameters import Settings

Message = TypeVar("Message")

# Reliable: a best-effort publisher gives rviz's reliable subscribers nothing.
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
STATUS_DEPTH = 10


class OutputPublishers:
    """Publishes what a segmentation says; whatever nobody subscribes to is not built.

    Args:
        node: the node.
        prefix: prefix of the topics, ending in a slash.
        method: name of the keyframe network.
    """

    def __init__(self, node: LifecycleNode, prefix: str, method: str) -> None:
        def create(message_type: type[Message], name: str) -> Publisher[Message]:
            return node.create_publisher(message_type, f"{prefix}{name}", RELIABLE)

        self._node = node
        self._classes = ClassPublisher(node, prefix, method)
        self._mask = create(Image, "mask")
        self._confidence = create(Image, "confidence")
        self._confidence_float = create(Image, "confidence_float")
        self._color = create(Image, "color")
        self._overlay = create(Image, "overlay")
        self._mask_compressed = create(CompressedImage, "mask/compressed")
        self._camera_info = create(CameraInfo, "camera_info")
        self._is_calibration_refused = False
        self._status = node.create_publisher(DiagnosticStatus, f"{prefix}status", STATUS_DEPTH)

    @property
    def has_calibration_users(self) -> bool:
        """Whether somebody listens to ~/camera_info."""
        return self._camera_info.get_subscription_count() > 0

    def publish_classes(self, classes: MergedClasses, settings: Settings) -> None:
        """Publish what the class ids mean, unless it was published before."""
        self._classes.publish(classes.table, settings.output_min_confidence)

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (
            self._mask,
            self._confidence,
            self._confidence_float,
            self._color,
            self._overlay,
            self._mask_compressed,
            self._camera_info,
            self._status,
        ):
            self._node.destroy_publisher(publisher)
        self._classes.destroy()

    def publish(
        self,
        header: Header,
        image: NDArray[np.uint8],
        segmentation: Segmentation,
        camera_info: CameraInfo | None,
        classes: MergedClasses,
        settings: Settings,
    ) -> None:
        """Publish all outputs of one frame with the header of its image.

        Args:
            header: header of the image, copied bit for bit.
            image: (H, W, 3) uint8 RGB.
            segmentation: labels and confidence of the image.
            camera_info: calibration of the camera, None while none arrived.
            classes: the published classes.
            settings: parameters for this frame.
        """
        # Before the mask: a consumer must know the ids before it sees one.
        self.publish_classes(classes, settings)
        rows, columns = image.shape[:2]
        size = output_size(rows, columns, settings.output_height, settings.output_width)
        labels, confidence = consumer_outputs(
            segmentation.labels,
            segmentation.confidence,
            classes,
            *size,
            settings.output_min_confidence,
        )
        _publish(self._mask, lambda: mono8_message(header, labels))
        _publish(self._confidence, lambda: mono8_message(header, confidence))
        if camera_info is not None and self.has_calibration_users:
            self._publish_calibration(camera_info, header, (rows, columns), size)
        _publish(self._confidence_float, lambda: probability_message(header, confidence))
        _publish(self._mask_compressed, lambda: png_message(header, labels))

        age, merged = segmentation.keyframe_age, segmentation.background == "merged"

        def drawn(picture: NDArray[np.uint8]) -> Image:
            if settings.overlay_legend:
                note = f"keyframe ({segmentation.reason})" if age == 0 else f"keyframe + {age}"
                draw_legend(picture, classes.table, note)
            return rgb8_message(header, picture)

        palette = classes.table.palette_array()

        def over_image() -> NDArray[np.uint8]:
            picture = overlay(resize_image(image, size), labels, palette, settings.overlay_alpha)
            if settings.overlay_keyframes and (age == 0 or merged):
                mark_keyframe(picture)
            return picture

        _publish(self._color, lambda: drawn(colorize(labels, palette)))
        _publish(self._overlay, lambda: drawn(over_image()))

    def _publish_calibration(
        self, info: CameraInfo, header: Header, image: tuple[int, int], output: tuple[int, int]
    ) -> None:
        """Publish the calibration for the size of the outputs; warn once if it makes no sense."""
        try:
            scaled = scale_camera_info(info, header, image, output)
        except ValueError as error:
            if not self._is_calibration_refused:
                self._is_calibration_refused = True
                self._node.get_logger().warning(
                    f"nothing on {self._camera_info.topic_name}: the camera's calibration makes no "
                    f"sense: {error}"
                )
            return
        self._is_calibration_refused = False
        self._camera_info.publish(scaled)

    def publish_status(self, build: Callable[[], DiagnosticStatus]) -> None:
        """Publish the status of one frame; built only if somebody listens."""
        _publish(self._status, build)


def _publish(publisher: Publisher[Message], build: Callable[[], Message]) -> None:
    if publisher.get_subscription_count() > 0:
        publisher.publish(build())
