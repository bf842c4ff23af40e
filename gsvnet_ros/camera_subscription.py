# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Takes the messages of one camera off the middleware and puts them into the queue."""

from __future__ import annotations

import time

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import MessageInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gsvnet_ros.camera_stream import CameraStream
from gsvnet_ros.frame_counts import SequenceWatch
from gsvnet_ros.frame_queue import FrameQueue, ReceivedFrame
from gsvnet_ros.message_fields import stamp_ns
from gsvnet_ros.parameters import Settings

_SILENT_REPORTS = 5
"""After so many reports without a frame the log tells; a camera may take a while to start."""


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
        self._silent_reports = 0
        namespace = f"{name}/" if name else ""
        # The compressed topic follows a remapping of the raw one, as image_transport does.
        topic = node.resolve_topic_name(f"{namespace}image")
        serves_all = settings.frames_policy == "all"
        self._images = node.create_subscription(
            CompressedImage if settings.image_transport == "compressed" else Image,
            f"{topic}/compressed" if settings.image_transport == "compressed" else topic,
            self._take_image,
            QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=settings.frames_queue if serves_all else 1,
                reliability=ReliabilityPolicy.BEST_EFFORT,
            ),
            # The overrides are declared once: those of one policy must not bind the other.
            qos_overriding_options=QoSOverridingOptions.with_default_policies(
                entity_id="all" if serves_all else None
            ),
        )
        self._camera_infos = node.create_subscription(
            CameraInfo,
            f"{namespace}camera_info",
            self._take_camera_info,
            qos_profile_sensor_data,
        )

    @property
    def image_topic(self) -> str:
        """Fully qualified name of the topic the images come from."""
        return str(self._images.topic_name)

    def report_silence(self, is_silent: bool) -> None:
        """Log once when no frame has come for long, and what may be meant, and once its end.

        Args:
            is_silent: whether the camera is silent; told once per second.
        """
        log = self._node.get_logger()
        before = self._silent_reports
        self._silent_reports = before + 1 if is_silent else 0
        if self._silent_reports == _SILENT_REPORTS:
            log.warning(f"no frame on {self.image_topic}: {self._guess()}")
        elif not is_silent and before >= _SILENT_REPORTS:
            log.info(f"frames again on {self.image_topic}")

    def _guess(self) -> str:
        """Return why no frame comes, as far as the graph tells."""
        wanted = f"sensor_msgs/msg/{self._images.msg_type.__name__}"
        publishers = self._node.get_publishers_info_by_topic(self.image_topic)
        types = sorted({publisher.topic_type for publisher in publishers})
        if wanted in types:
            return "its publisher sends nothing"
        if types:
            return f"it is a topic of {', '.join(types)}, expected {wanted} (see image.transport)"
        own = f"{self._node.get_fully_qualified_name()}/"
        others = [
            name
            for name, kinds in self._node.get_topic_names_and_types()
            if wanted in kinds and not name.startswith(own) and self._node.count_publishers(name)
        ]
        return (
            f"nobody publishes it; topics of {wanted}: {', '.join(others) or 'none'} "
            "(remap image to the one meant, image:=TOPIC with the launch file)"
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
        lost = self._watch.lost_before(publisher, sequence, source_ns) if sequence else 0
        self._stream.counts.receive(lost)
        self._stream.health.received(self._node.get_clock().now().nanoseconds)
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns(message.header)
        if self.paused:
            self._stream.counts.drop("paused")
            return
        self._queue.put(self._index, ReceivedFrame(message, publisher, source_ns, before_ns))

    def _take_camera_info(self, message: CameraInfo) -> None:
        self._stream.camera_info = message
