# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images that were published before the node listened, and are kept for whoever comes later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from gsvnet_ros.node.topic_hints import publishers

_REPORTS = 5
"""A subscription for latched images lasts for this many looks."""


class LatchedImages:
    """Fetches the last image of publishers that are transient local and send nothing now.

    A volatile subscription gets none of what was published before, and a transient-local one none
    of volatile publishers, which most cameras are. So a second subscription, reliable and transient
    local, is made for a publisher from which nothing has come, and is gone when it has.

    Args:
        node: the node.
        images: the subscription to the images.
        take: callback of that subscription; gets the latched image.
    """

    def __init__(
        self, node: Node, images: Subscription[Any], take: Callable[[Any, Any], None]
    ) -> None:
        self._node = node
        self._images = images
        self._take_image = take
        self._heard: set[bytes] = set()
        self._silent: set[bytes] = set()
        self._asked: set[bytes] = set()
        self._latched: Subscription[Any] | None = None
        self._looks_left = 0

    def received(self, publisher: bytes) -> None:
        """Note that a frame of a publisher came, by whichever subscription."""
        self._heard.add(publisher)

    def look(self) -> None:
        """Look for publishers that latch images; call it once a second."""
        if self._latched is not None:
            self._looks_left -= 1
            if self._looks_left > 0:
                return
            self.destroy()
        latching = {
            bytes(publisher.endpoint_gid)
            for publisher in publishers(self._node, self._images)
            if _latches(publisher)
        }
        # Of those that are gone nothing is kept.
        self._heard &= latching
        self._asked &= latching
        silent_before, self._silent = self._silent, latching - self._heard - self._asked
        # One that streams is heard within two looks.
        asked = self._silent & silent_before
        if asked:
            self._asked |= asked
            self._looks_left = _REPORTS
            self._latched = self._node.create_subscription(
                self._images.msg_type,
                self._images.topic,
                self._take,
                QoSProfile(
                    depth=1,
                    reliability=ReliabilityPolicy.RELIABLE,
                    durability=DurabilityPolicy.TRANSIENT_LOCAL,
                ),
            )

    def destroy(self) -> None:
        """Stop listening for latched images."""
        if self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None

    def _take(self, message: Any, info: Any) -> None:
        gid = info.get("publisher_gid")
        # A publisher that is heard by the other subscription needs this one no more.
        if gid and bytes(gid["data"]) in self._heard:
            return
        self._take_image(message, info)


def _latches(publisher: TopicEndpointInfo) -> bool:
    profile = publisher.qos_profile
    return bool(
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and profile.reliability == ReliabilityPolicy.RELIABLE
    )
