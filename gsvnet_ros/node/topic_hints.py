# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Why no images come, or too few: what the ROS graph shows, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, ReliabilityPolicy, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage

from gsvnet_ros.health.transport import loss_cure, segment_bytes, sender_segment_bytes
from gsvnet_ros.messages.peer_text import peer_text

RAW_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
_SUFFIX = "/compressed"
_MAX_NAMES = 5
"""Names in one line; more are counted."""


def publishers(node: Node, images: Subscription[Any]) -> list[TopicEndpointInfo]:
    """Return the publishers of the topic that a subscription listens to, of any type.

    Args:
        node: the node.
        images: the subscription. It is asked for by the name it was made with, which is remapped
            here as it was there; the remapped name could be remapped once more.
    """
    return list(node.get_publishers_info_by_topic(images.topic))


def node_name(publisher: TopicEndpointInfo) -> str:
    """Return the quoted full name of a publisher's node."""
    return peer_text(f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}")


def listed(texts: Sequence[str], conjunction: str = "and") -> str:
    """Return texts as a list in words, of bounded length."""
    more = [f"{len(texts) - _MAX_NAMES} more"] if len(texts) > _MAX_NAMES else []
    *first, last = [*texts[:_MAX_NAMES], *more]
    return f"{', '.join(first)} {conjunction} {last}" if first else last


class TopicHints:
    """Explains what is wrong with the topic of one camera.

    Args:
        node: the node.
        images: the subscription to the images.
        name: relative name of the images, which a remapping has to name: NAME/image, or image.
        overrides: prefix of the parameters that override the subscription's quality of service.
    """

    def __init__(self, node: Node, images: Subscription[Any], name: str, overrides: str) -> None:
        self._node = node
        self._overrides = overrides
        self._images = images
        self._name = name
        self._is_compressed = images.msg_type is CompressedImage
        self._wanted = COMPRESSED_TYPE if self._is_compressed else RAW_TYPE

    def silence(self, has_frames: bool, image_bytes: int) -> str:
        """Return why no frame comes, and what to do.

        Args:
            has_frames: whether some came before.
            image_bytes: size of the largest that came, in bytes; 0 where none came.
        """
        found = publishers(self._node, self._images)
        fitting = [publisher for publisher in found if publisher.topic_type == self._wanted]
        if not found:
            return self._no_publisher()
        if not fitting:
            return self._other_type(found)
        refused = [reason for reason in map(self._refusal, fitting) if reason]
        if len(refused) == len(fitting):
            return refused[0]
        names = listed(sorted({node_name(publisher) for publisher in fitting}))
        if has_frames:
            return f"{names} is still there and sends nothing more"
        return (
            f"nothing has come from its publisher {names}. If 'ros2 topic hz "
            f"{self._images.topic_name}' finds no images either, look at that node; else "
            f"{self.losses(image_bytes)}"
        )

    def losses(self, image_bytes: int) -> str:
        """Return what to do about images that are lost on the way.

        Args:
            image_bytes: size of the largest image that came, in bytes; 0 where none came.
        """
        found = publishers(self._node, self._images)
        sizes = [sender_segment_bytes(publisher.endpoint_gid) for publisher in found]
        offered = {publisher.qos_profile.reliability for publisher in found}
        is_reliable = self._images.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        can_be_reliable = offered == {ReliabilityPolicy.RELIABLE} and not is_reliable
        return loss_cure(
            get_rmw_implementation_identifier(),
            segment_bytes(),
            min(sizes, default=0),
            image_bytes,
            f"{self._overrides}.reliability:=reliable"
            if can_be_reliable and not is_reliable
            else "",
        )

    def _no_publisher(self) -> str:
        own = f"{self._node.get_fully_qualified_name()}/"
        # Those of the node's other cameras are not the one that is missing.
        used = {str(subscription.topic_name) for subscription in self._node.subscriptions}
        others: dict[str, list[str]] = {RAW_TYPE: [], COMPRESSED_TYPE: []}
        for topic, types in self._node.get_topic_names_and_types():
            for kind in others:
                is_foreign = kind in types and topic not in used and not topic.startswith(own)
                if is_foreign and self._node.count_publishers(topic):
                    others[kind].append(topic)
        raw, compressed = others[RAW_TYPE], others[COMPRESSED_TYPE]
        if not self._is_compressed and raw:
            return f"no publisher; {self._remap(raw)}"
        if not self._is_compressed and compressed:
            return (
                f"no publisher, and no {RAW_TYPE} topic exists; set image_transport to compressed "
                f"and {self._remap_compressed(compressed)}"
            )
        if self._is_compressed and compressed:
            # The one that the images were remapped to is the one meant.
            meant = str(self._images.topic_name).removesuffix(_SUFFIX)
            cure = self._remap_compressed([meant] if meant in compressed else compressed)
            return f"no publisher; {cure}"
        if self._is_compressed and raw:
            return (
                f"no publisher, and no {COMPRESSED_TYPE} topic exists; set image_transport to raw "
                f"and {self._remap(raw)}"
            )
        kind = self._wanted if self._name == "image" else f"other {self._wanted}"
        return f"no publisher, and no {kind} topic exists; is the camera driver running?"

    def _remap(self, topics: Sequence[str]) -> str:
        """Return how to listen to one of some topics of raw images."""
        names = listed([peer_text(topic) for topic in topics], "or")
        return f"remap {self._name} to {names}{self._launch('image')}"

    def _remap_compressed(self, topics: Sequence[str]) -> str:
        """Return how to listen to one of some topics of compressed images."""
        plain = [topic.removesuffix(_SUFFIX) for topic in topics if topic.endswith(_SUFFIX)]
        cures = [self._remap(plain)] if plain else []
        odd = [peer_text(topic) for topic in topics if not topic.endswith(_SUFFIX)]
        if odd:
            launch = self._launch("compressed_image")
            cures.append(f"remap {self._name}{_SUFFIX} to {listed(odd, 'or')}{launch}")
        return ", or ".join(cures)

    def _launch(self, argument: str) -> str:
        """Return the argument of the launch file that does it, which serves one camera only."""
        return f" ({argument}:= of the launch file)" if self._name == "image" else ""

    def _other_type(self, found: Sequence[TopicEndpointInfo]) -> str:
        topic, kind = self._images.topic_name, found[0].topic_type
        text = f"{topic} carries {peer_text(kind)}, and this node expects {self._wanted}: "
        if kind == COMPRESSED_TYPE:
            return f"{text}set image_transport to compressed and {self._remap_compressed([topic])}"
        if kind == RAW_TYPE:
            return f"{text}set image_transport to raw and {self._remap([topic])}"
        return f"{text}remap {self._name} to a topic of images"

    def _refusal(self, publisher: TopicEndpointInfo) -> str:
        """Return why a publisher and the subscription do not match; empty if they do."""
        offered, requested = publisher.qos_profile, self._images.qos_profile
        compatible, _ = qos_check_compatible(offered, requested)
        if compatible != QoSCompatibility.ERROR:
            return ""
        for policy in ("reliability", "durability"):
            offers, wants = getattr(offered, policy), getattr(requested, policy)
            if offers != wants and wants.name in ("RELIABLE", "TRANSIENT_LOCAL"):
                return (
                    f"its publisher {node_name(publisher)} offers {policy} {offers.name.lower()}, "
                    f"this node requests {wants.name.lower()}: start it with "
                    f"{self._overrides}.{policy}:={offers.name.lower()}"
                )
        return f"its publisher {node_name(publisher)} offers quality of service that does not match"
