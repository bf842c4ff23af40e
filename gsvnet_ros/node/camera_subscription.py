# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Takes the messages of one camera off the middleware and puts them into the queue."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from rclpy.clock import ROSClock
from rclpy.event_handler import (
    QoSMessageLostInfo,
    SubscriptionEventCallbacks,
    UnsupportedEventTypeError,
)
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gsvnet_ros.health.frame_counts import LossCount, SequenceWatch
from gsvnet_ros.health.stream_health import HealthReport
from gsvnet_ros.messages.message_fields import stamp_ns
from gsvnet_ros.node.camera_stream import CameraStream
from gsvnet_ros.node.camera_watch import CameraWatch
from gsvnet_ros.node.frame_queue import FrameQueue, ReceivedFrame
from gsvnet_ros.node.latched_images import LatchedImages
from gsvnet_ros.node.parameters import Settings
from gsvnet_ros.node.topic_hints import TopicHints

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo  # not in Jazzy


class CameraSubscription:
    """The subscriptions of one camera; nothing is decoded in their callbacks.

    The callbacks run in the executor's thread. They only count and hand over, so that
    messages do not wait, and get lost, in the middleware while a frame is computed.

    Args:
        node: the node.
        name: camera name, empty for the only camera of a node.
        index: index of the camera in the queue.
        stream: stream of the camera.
        queue: where its frames go.
        settings: parameters at activation.

    Raises:
        RuntimeError: if an override of the quality of service is no such policy.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        index: int,
        stream: CameraStream,
        queue: FrameQueue,
        settings: Settings,
    ) -> None:
        self.paused = False
        self._node = node
        self._index = index
        self._stream = stream
        self._queue = queue
        self._numbers = SequenceWatch(time.time_ns())
        self._losses = LossCount()
        self._stamp_ns: int | None = None
        self._newest: tuple[bytes, int, int] | None = None
        self._counts_losses = True
        image = f"{name}/image" if name else "image"
        topic, message_type = image, Image
        if settings.image_transport == "compressed":
            topic, message_type = _compressed_topic(node, image), CompressedImage
        self._images = self._subscribe(topic, message_type, settings)
        self._calibrations = node.create_subscription(
            CameraInfo,
            _calibration_topic(node, image, self.image_topic),
            self._take_camera_info,
            qos_profile_sensor_data,
        )
        entity = "subscription_all" if settings.frames_policy == "all" else "subscription"
        overrides = f"qos_overrides.{self.image_topic}.{entity}"
        self._watch = CameraWatch(
            node, self._images, TopicHints(node, self._images, image, overrides)
        )
        self._latched = LatchedImages(node, self._images, self._take_image)

    def _subscribe(self, topic: str, message_type: type[Any], settings: Settings) -> Any:
        serves_all = settings.frames_policy == "all"
        policies = [QoSPolicyKind.HISTORY, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY]

        def create(events: SubscriptionEventCallbacks) -> Subscription[Any]:
            return self._node.create_subscription(
                message_type,
                topic,
                self._take_image,
                QoSProfile(
                    history=HistoryPolicy.KEEP_LAST,
                    depth=settings.frames_queue if serves_all else 1,
                    reliability=ReliabilityPolicy.BEST_EFFORT,
                    durability=DurabilityPolicy.VOLATILE,
                ),
                # Overrides are declared once: those of one policy must not bind the other. The
                # depth is no override where a parameter, which may change, decides about it.
                qos_overriding_options=QoSOverridingOptions(policies, entity_id="all")
                if serves_all
                else QoSOverridingOptions([*policies, QoSPolicyKind.DEPTH]),
                event_callbacks=events,
            )

        # What rclpy would log of publishers that do not match is in the watch's line.
        try:
            return create(
                SubscriptionEventCallbacks(
                    message_lost=self._take_loss, use_default_callbacks=False
                )
            )
        except UnsupportedEventTypeError:
            return create(SubscriptionEventCallbacks(use_default_callbacks=False))

    @property
    def image_topic(self) -> str:
        """Fully qualified name of the topic the images come from."""
        return str(self._images.topic_name)

    def report(self, health: HealthReport) -> None:
        """Log what is wrong with the camera's topics, and fetch images that are latched.

        Args:
            health: health of the camera; reported once per second.
        """
        is_missed = self._stream.camera_info is None and self._stream.outputs.has_calibration_users
        self._watch.report(health, str(self._calibrations.topic_name) if is_missed else "")
        self._latched.look()

    def destroy(self) -> None:
        """Stop listening."""
        self._latched.destroy()
        self._node.destroy_subscription(self._images)
        self._node.destroy_subscription(self._calibrations)

    def _take_image(self, message: Image | CompressedImage, info: MessageInfo) -> None:
        gid = info.get("publisher_gid")
        publisher = bytes(gid["data"]) if gid else b""
        source_ns = info["source_timestamp"]
        sequence = info.get("publication_sequence_number")
        identity = (publisher, sequence or 0, source_ns)
        if source_ns and identity == self._newest:
            return  # came by the subscription for latched images too
        self._newest = identity
        if not sequence and self._counts_losses:
            self._counts_losses = False
            self._node.get_logger().warning(
                f"frames of {self.image_topic} that are lost on the way cannot be counted: "
                f"{get_rmw_implementation_identifier()} does not number messages"
            )
        lost = self._numbers.lost_before(publisher, sequence, source_ns) if sequence else 0
        if lost and not publisher and self._node.count_publishers(self.image_topic) > 1:
            lost = 0  # Jazzy does not tell publishers apart: their numbers say nothing
        self._stream.counts.receive(self._losses.add_gap(lost))
        stamp, clock = stamp_ns(message.header), self._node.get_clock()
        is_simulated = isinstance(clock, ROSClock) and clock.ros_time_is_active
        health = self._stream.health
        health.received(time.monotonic_ns())
        health.stamp_clock.received(stamp, clock.now().nanoseconds, is_simulated)
        self._watch.received(publisher, message.header.frame_id, len(message.data))
        self._latched.received(publisher)
        before_ns, self._stamp_ns = self._stamp_ns, stamp
        if self.paused:
            self._stream.counts.drop("paused")
            return
        frame = ReceivedFrame(message, publisher, sequence, source_ns, before_ns)
        self._queue.put(self._index, frame)

    def _take_loss(self, event: QoSMessageLostInfo) -> None:
        self._stream.counts.lose(self._losses.add_report(event.total_count_change))

    def _take_camera_info(self, message: CameraInfo) -> None:
        self._stream.camera_info = message


def _compressed_topic(node: LifecycleNode, image: str) -> str:
    """Return the topic of compressed images, to be remapped as it is given.

    It follows a remapping of the raw topic, as image_transport does, unless it is itself remapped:
    some drivers publish compressed images under another name.

    Args:
        node: the node.
        image: relative name of the raw images.
    """
    topic = f"{image}/compressed"
    if _is_remapped(node, topic):
        return topic
    return f"{node.resolve_topic_name(image)}/compressed"


def _calibration_topic(node: LifecycleNode, image: str, image_topic: str) -> str:
    """Return the topic of the calibration: beside the images, unless it is itself remapped.

    Args:
        node: the node.
        image: relative name of the raw images.
        image_topic: fully qualified name of the topic that the images come from.
    """
    topic = str(PurePosixPath(image).with_name("camera_info"))
    if _is_remapped(node, topic):
        return topic
    raw = PurePosixPath(image_topic.removesuffix("/compressed"))
    return str(raw.with_name("camera_info"))


def _is_remapped(node: LifecycleNode, topic: str) -> bool:
    expanded = node.resolve_topic_name(topic, only_expand=True)
    return bool(node.resolve_topic_name(topic) != expanded)
