# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Takes the messages of one camera off the middleware and puts them into the queue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import (
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

from gsvnet_ros.health.episode import Debounce
from gsvnet_ros.health.frame_counts import SequenceWatch
from gsvnet_ros.health.stream_health import LOSS_CURE, HealthReport
from gsvnet_ros.messages.message_fields import stamp_ns
from gsvnet_ros.node.camera_stream import CameraStream
from gsvnet_ros.node.frame_queue import FrameQueue, ReceivedFrame
from gsvnet_ros.node.parameters import Settings

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo  # not in Jazzy


class CameraSubscription:
    """The subscriptions of one camera; nothing is decoded in their callbacks.

    The callbacks run in the executor's thread. They only count and hand over, so that
    messages do not wait, and get lost, in the middleware while a frame is computed.

    Args:
        node: the node.
        name: camera name, empty for the only camera of a node.
        index: of the camera in the queue.
        stream: of the camera.
        queue: where frames go.
        settings: at activation.
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
        self._watch = SequenceWatch(time.time_ns())
        self._stamp_ns: int | None = None
        self._counts_losses = True
        # A camera may take a while to start, and some frames are lost when it does.
        self._silence = Debounce(begins_after=5, ends_after=1)
        self._loss = Debounce(begins_after=2, ends_after=10)
        namespace = f"{name}/" if name else ""
        self._plain_topic = f"{namespace}image"
        self._camera_infos = node.create_subscription(
            CameraInfo,
            f"{namespace}camera_info",
            self._take_camera_info,
            qos_profile_sensor_data,
        )
        try:
            self._images = self._subscribe(settings)
        except Exception:
            node.destroy_subscription(self._camera_infos)
            raise

    def _subscribe(self, settings: Settings) -> Subscription[Any]:
        """Subscribe to the images.

        Raises:
            RuntimeError: if a QoS override is no such policy.
        """
        topic, message_type = self._plain_topic, Image
        if settings.image_transport == "compressed":
            # This topic follows a remapping of the raw one, as image_transport does.
            topic = f"{self._node.resolve_topic_name(topic)}/compressed"
            message_type = CompressedImage
        serves_all = settings.frames_policy == "all"
        policies = [QoSPolicyKind.HISTORY, QoSPolicyKind.RELIABILITY]
        return self._node.create_subscription(
            message_type,
            topic,
            self._take_image,
            QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=settings.frames_queue if serves_all else 1,
                reliability=ReliabilityPolicy.BEST_EFFORT,
            ),
            # Overrides are declared once: those of one policy must not bind the other. The depth
            # is no override where a parameter, which may change, decides about it.
            qos_overriding_options=QoSOverridingOptions(policies, entity_id="all")
            if serves_all
            else QoSOverridingOptions([*policies, QoSPolicyKind.DEPTH]),
        )

    @property
    def image_topic(self) -> str:
        """Fully qualified name of the topic the images come from."""
        return str(self._images.topic_name)

    def report(self, health: HealthReport) -> None:
        """Log once when no frame has come for long or many were lost, and once that it is over.

        Args:
            health: of the camera; told once per second.
        """
        log = self._node.get_logger()
        if self._silence.changes(health.level == "stale"):
            if self._silence.is_on:
                log.warning(f"no frame on {self.image_topic}: {self._guess()}")
            else:
                log.info(f"frames again on {self.image_topic}")
        if self._loss.changes(health.is_lossy):
            if self._loss.is_on:
                log.warning(f"many frames of {self.image_topic} are lost {LOSS_CURE}")
            else:
                log.info(f"no more losses on {self.image_topic}")

    def _guess(self) -> str:
        """Return why no frame comes, as far as the graph tells."""
        wanted = f"sensor_msgs/msg/{self._images.msg_type.__name__}"
        topics = self._node.get_topic_names_and_types()
        if self._node.count_publishers(self.image_topic):
            # The wanted type is there in any case, for this subscription.
            types = [kind for kind in dict(topics).get(self.image_topic, []) if kind != wanted]
            if types:
                return f"it is a topic of {types[0]}, expected {wanted} (see image_transport)"
            return f"it has a publisher, which sends nothing, or whose images are lost {LOSS_CURE}"
        own = f"{self._node.get_fully_qualified_name()}/"
        others = [
            name
            for name, kinds in topics
            if wanted in kinds and not name.startswith(own) and self._node.count_publishers(name)
        ]
        if self._images.msg_type is CompressedImage:  # the remapping is of the raw topic
            others = [name.removesuffix("/compressed") for name in others]
        return (
            f"nobody publishes it; {wanted} there is of: {', '.join(others) or 'no topic'} "
            f"(remap {self._plain_topic} to the one meant; the launch file's image:=TOPIC does it "
            "for the only camera)"
        )

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._images)
        self._node.destroy_subscription(self._camera_infos)

    def _take_image(self, message: Image | CompressedImage, info: MessageInfo) -> None:
        gid = info.get("publisher_gid")
        publisher = bytes(gid["data"]) if gid else b""
        source_ns = info["source_timestamp"]
        sequence = info.get("publication_sequence_number")
        if not sequence and self._counts_losses:
            self._counts_losses = False
            self._node.get_logger().warning(
                f"frames of {self.image_topic} that are lost on the way cannot be counted: "
                f"{get_rmw_implementation_identifier()} does not number messages"
            )
        lost = self._watch.lost_before(publisher, sequence, source_ns) if sequence else 0
        if lost and not publisher and self._node.count_publishers(self.image_topic) > 1:
            lost = 0  # Jazzy does not tell publishers apart: their numbers say nothing
        self._stream.counts.receive(lost)
        self._stream.health.received(self._node.get_clock().now().nanoseconds)
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns(message.header)
        if self.paused:
            self._stream.counts.drop("paused")
            return
        frame = ReceivedFrame(message, publisher, sequence, source_ns, before_ns)
        self._queue.put(self._index, frame)

    def _take_camera_info(self, message: CameraInfo) -> None:
        self._stream.camera_info = message
