# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Logs what is wrong with the images of a camera: once when it begins, once when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from gsvnet_ros.health.stamp_clock import ClockMismatch
from gsvnet_ros.health.stream_health import HealthReport
from gsvnet_ros.messages.peer_text import peer_text
from gsvnet_ros.node.topic_hints import TopicHints, listed, node_name, publishers

_REPORTS = 5
"""Whether several cameras share a topic is judged once in so many reports."""

_RETURNS = 2
"""A frame comes from a publisher that others have interrupted so often: no camera restarts."""

_MAX_SOURCES = 100
"""Publishers and frame_ids that are kept; whoever sends more needs no complete list."""


@dataclass
class Debounce:
    """A condition that is looked at again and again.

    Attributes:
        begins_after: looks in a row at which the condition holds, before it counts as begun.
        ends_after: looks in a row at which it does not hold, before it counts as over.
        is_on: whether the condition lasts.
    """

    begins_after: int
    ends_after: int
    is_on: bool = False
    _against: int = 0

    def changes(self, holds: bool) -> bool:
        """Look at the condition; return whether it begins or ends with this look."""
        self._against = self._against + 1 if holds != self.is_on else 0
        if self._against < (self.ends_after if self.is_on else self.begins_after):
            return False
        self.is_on, self._against = holds, 0
        return True


class CameraWatch:
    """Watches the images of one camera as they come.

    Frames are noted and reports made in the executor's thread.

    Args:
        node: the node, for its log and its view of the graph.
        images: the subscription to the images.
        hints: what explains faults of the topic.
    """

    def __init__(self, node: Node, images: Subscription[Any], hints: TopicHints) -> None:
        self._node = node
        self._images = images
        self._hints = hints
        self._image_bytes = 0
        self._last: tuple[bytes, str] | None = None
        self._returns = 0
        self._seen: set[tuple[bytes, str]] = set()
        self._reports = 0
        # A camera may take a while to start, and some frames are lost when it does.
        self._absence = Debounce(begins_after=5, ends_after=1)
        self._silence = Debounce(begins_after=5, ends_after=1)
        self._loss = Debounce(begins_after=2, ends_after=10)
        self._mixture = Debounce(begins_after=1, ends_after=2)
        self._clocks = Debounce(begins_after=2, ends_after=5)
        self._calibration = Debounce(begins_after=5, ends_after=1)

    def received(self, publisher: bytes, frame_id: str, image_bytes: int) -> None:
        """Note a frame.

        Args:
            publisher: identity of its publisher; empty where the middleware does not tell.
            frame_id: frame_id of its header.
            image_bytes: size of its image data, in bytes.
        """
        self._image_bytes = max(self._image_bytes, image_bytes)
        source = (publisher, frame_id)
        if source != self._last and source in self._seen:
            self._returns += 1
        self._last = source
        if len(self._seen) < _MAX_SOURCES:
            self._seen.add(source)

    def report(self, health: HealthReport, missing_calibration: str) -> None:
        """Log what has begun and what is over; call it once a second.

        Args:
            health: health of the camera.
            missing_calibration: topic on which no calibration has come although somebody listens
                to ~/camera_info; else empty.
        """
        topic = self._images.topic_name
        lost = f"frames of {topic} are lost on the way"
        self._tell(
            self._loss,
            health.is_lossy,
            lambda: f"many {lost}: {self._hints.losses(self._image_bytes)}",
            f"no more {lost}",
        )
        # Where all are lost, that is what is wrong.
        is_silent = health.is_silent and not health.is_lossy and not self._loss.is_on
        self._report_silence(topic, is_silent, health.has_frames)
        self._tell(
            self._clocks,
            health.clock_mismatch is not None,
            lambda: f"{topic}: {_clock_text(health.clock_mismatch)}",
            f"{topic}: stamps and clock are of one time again",
        )
        self._tell(
            self._calibration,
            bool(missing_calibration) and not health.is_silent,
            lambda: (
                f"no calibration on {missing_calibration}: ~/camera_info stays silent; remap "
                "camera_info to the topic of the camera's"
            ),
            "",
        )
        self._reports = (self._reports + 1) % _REPORTS
        if self._reports == 0:
            self._report_mixture(topic)

    def _report_silence(self, topic: str, is_silent: bool, has_frames: bool) -> None:
        """Log why no frame comes, and once more when a publisher appears and still none comes."""
        has_publisher = is_silent and bool(publishers(self._node, self._images))
        has_ended = False
        for condition, holds in (
            (self._absence, is_silent and not has_publisher),
            (self._silence, is_silent and has_publisher),
        ):
            if condition.changes(holds):
                has_ended |= not condition.is_on
                if condition.is_on:
                    why = self._hints.silence(has_frames, self._image_bytes)
                    self._node.get_logger().warning(f"no frame on {topic}: {why}")
        if has_ended and not is_silent:
            self._node.get_logger().info(f"frames again on {topic}")

    def _report_mixture(self, topic: str) -> None:
        seen, is_mixed = self._seen, self._returns >= _RETURNS
        self._seen, self._returns = set(), 0
        self._tell(
            self._mixture,
            is_mixed,
            lambda: f"frames on {topic} come in turn {self._sources(seen)}",
            f"frames on {topic} come from one publisher with one frame_id again",
        )

    def _tell(self, condition: Debounce, holds: bool, begun: Callable[[], str], over: str) -> None:
        """Log that a condition has begun, or that it is over unless that goes without saying."""
        if not condition.changes(holds):
            return
        if condition.is_on:
            self._node.get_logger().warning(begun())
        elif over:
            self._node.get_logger().info(over)

    def _sources(self, seen: Iterable[tuple[bytes, str]]) -> str:
        """Return who sends the frames, and with which frame_ids, and what to do about it."""
        by_publisher: dict[bytes, list[str]] = {}
        for publisher, frame_id in sorted(seen):
            by_publisher.setdefault(publisher, []).append(peer_text(frame_id))
        names = {
            bytes(publisher.endpoint_gid): node_name(publisher)
            for publisher in publishers(self._node, self._images)
        }
        sources = [
            f"{names.get(gid, 'an unknown node')} (frame_id {listed(frame_ids)})"
            for gid, frame_ids in by_publisher.items()
        ]
        return (
            f"from {listed(sources)}, and every change starts anew with a keyframe. Stop all but "
            "one, or give each camera a topic of its own and name them in the parameter cameras"
        )


def _clock_text(mismatch: ClockMismatch | None) -> str:
    if mismatch is None:
        return ""
    return (
        f"{mismatch.describe()}. Latency is left out and frames.max_age drops nothing; "
        f"{mismatch.cure()}"
    )
