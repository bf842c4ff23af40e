# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What the class ids mean, as messages: the one place that knows vision_msgs."""

from __future__ import annotations

import importlib
import json
from functools import cache
from types import ModuleType
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header, String

from gsvnet_model.outputs.classes import IGNORE_INDEX, ClassTable

LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

DATABASE_PARAMETER = "classes.database"


@cache
def vision_msgs() -> ModuleType | None:
    """Return the module vision_msgs.msg, or None where it is not installed."""
    try:
        return importlib.import_module("vision_msgs.msg")
    except ImportError:
        return None


def class_database(classes: ClassTable) -> str:
    """Return the classes as JSON: a list of id, name and RGB colour."""
    rows = zip(classes.names, classes.palette, strict=True)
    return json.dumps(
        [
            {"id": class_id, "name": name, "color": list(colour)}
            for class_id, (name, colour) in enumerate(rows)
        ]
    )


def class_map(classes: ClassTable, threshold: float) -> str:
    """Return what LabelInfo says as JSON."""
    return json.dumps(
        {
            "class_map": [
                {"class_id": class_id, "class_name": name}
                for class_id, name in enumerate(classes.names)
            ],
            "threshold": threshold,
            "unlabeled": IGNORE_INDEX,
        }
    )


class ClassPublisher:
    """Publishes the classes of one camera, latched, and again only when they change.

    Args:
        node: the node.
        prefix: of the topics, ending in a slash.
        method: name of the network, for VisionInfo.
    """

    def __init__(self, node: LifecycleNode, prefix: str, method: str) -> None:
        self._node = node
        self._method = method
        self._published: tuple[ClassTable, float] | None = None
        # Always there, so that a consumer needs no vision_msgs to know the classes.
        self._class_map = node.create_publisher(String, f"{prefix}class_map", LATCHED)
        self._label_info: Publisher[Any] | None = None
        self._vision_info: Publisher[Any] | None = None
        messages = vision_msgs()
        if messages is not None:
            self._label_info = node.create_publisher(
                messages.LabelInfo, f"{prefix}label_info", LATCHED
            )
            self._vision_info = node.create_publisher(
                messages.VisionInfo, f"{prefix}vision_info", LATCHED
            )

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (self._class_map, self._label_info, self._vision_info):
            if publisher is not None:
                self._node.destroy_publisher(publisher)

    def publish(self, classes: ClassTable, threshold: float) -> None:
        """Publish unless the same was published before.

        Args:
            classes: the published classes.
            threshold: probability below which pixels are unlabeled.
        """
        if self._published == (classes, threshold):
            return
        self._published = (classes, threshold)
        self._class_map.publish(String(data=class_map(classes, threshold)))
        messages = vision_msgs()
        if messages is None or self._label_info is None or self._vision_info is None:
            return
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._label_info.publish(
            messages.LabelInfo(
                header=header,
                class_map=[
                    messages.VisionClass(class_id=class_id, class_name=name)
                    for class_id, name in enumerate(classes.names)
                ],
                threshold=threshold,
            )
        )
        location = f"{self._node.get_fully_qualified_name()}.{DATABASE_PARAMETER}"
        self._vision_info.publish(
            messages.VisionInfo(header=header, method=self._method, database_location=location)
        )
