# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A camera that keeps the time: sends images to a node and notes when the answers come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gsvnet_ros.messages.image_messages import rgb8_message
from gsvnet_ros.messages.message_fields import stamp_ns, status_stamp_ns, status_values

START_TIMEOUT_S = 180.0
"""Loading PyTorch and compiling on a slow, busy machine."""

ANSWER_TIMEOUT_S = 60.0

_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


class NoAnswerError(RuntimeError):
    """A node did not answer in time."""


@dataclass
class Answer:
    """What came back for one image; None where nothing did.

    Attributes:
        sent_ns: stamp of the image, system time.
        mask: class ids, (H, W) uint8.
        mask_ns: when the mask came.
        confidence_ns: when the confidence came.
        status: values of the frame's status.
    """

    sent_ns: int
    mask: NDArray[np.uint8] | None = None
    mask_ns: int | None = None
    confidence_ns: int | None = None
    status: Mapping[str, str] | None = None

    @property
    def latency_ms(self) -> float:
        """From the stamp until mask and confidence were here, ms."""
        assert self.mask_ns is not None and self.confidence_ns is not None
        return 1e-6 * (max(self.mask_ns, self.confidence_ns) - self.sent_ns)


@dataclass
class ProbeCamera:
    """One camera of the probe.

    Attributes:
        answers: by stamp, in the order sent.
        keeps_masks: whether masks are kept or only their times.
        has_status: whether the node publishes a status.
    """

    publish: Callable[[Image], None]
    has_status: bool
    keeps_masks: bool
    answers: dict[int, Answer] = field(default_factory=dict)

    def send(self, image: NDArray[np.uint8]) -> Answer:
        """Publish an image, stamped now."""
        stamp_ns = time.time_ns()
        stamp = Time(nanoseconds=stamp_ns).to_msg()
        answer = self.answers[stamp_ns] = Answer(stamp_ns)
        self.publish(rgb8_message(Header(stamp=stamp, frame_id="probe"), image))
        return answer

    def is_complete(self, answer: Answer) -> bool:
        """Return whether all of an answer is here."""
        return (
            answer.mask_ns is not None
            and answer.confidence_ns is not None
            and (answer.status is not None or not self.has_status)
        )


class Probe:
    """Sends images to nodes and receives what they publish, in one thread.

    Args:
        context: of ROS; its own, so that the caller may have another.
    """

    def __init__(self, context: Context) -> None:
        self.diagnostics: dict[str, Mapping[str, str]] = {}
        self._node = Node("probe", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._node.create_subscription(
            DiagnosticArray, "/diagnostics", self._take_diagnostics, _QOS
        )

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()

    def add_camera(
        self, image_topic: str, outputs: str, has_status: bool = True, keeps_masks: bool = False
    ) -> ProbeCamera:
        """Return a camera that publishes on a topic and listens to the answers.

        Args:
            image_topic: where the node subscribes.
            outputs: what the names of its output topics begin with.
            has_status: whether it publishes a status per frame.
            keeps_masks: whether masks are kept or only their times.
        """
        publisher = self._node.create_publisher(Image, image_topic, _QOS)
        camera = ProbeCamera(publisher.publish, has_status, keeps_masks)

        def take_mask(message: Image) -> None:
            now_ns = time.time_ns()
            answer = camera.answers.get(stamp_ns(message.header))
            if answer is not None:
                answer.mask_ns = now_ns
                if camera.keeps_masks:
                    pixels = np.frombuffer(message.data, np.uint8)
                    answer.mask = pixels.reshape(message.height, message.width)

        def take_confidence(message: Image) -> None:
            now_ns = time.time_ns()
            answer = camera.answers.get(stamp_ns(message.header))
            if answer is not None:
                answer.confidence_ns = now_ns

        def take_status(message: DiagnosticStatus) -> None:
            values = status_values(message)
            answer = camera.answers.get(status_stamp_ns(values))
            if answer is not None:
                answer.status = values

        self._node.create_subscription(Image, f"{outputs}/mask", take_mask, _QOS)
        self._node.create_subscription(Image, f"{outputs}/confidence", take_confidence, _QOS)
        if has_status:
            self._node.create_subscription(DiagnosticStatus, f"{outputs}/status", take_status, _QOS)
        return camera

    def connect(self, cameras: Sequence[ProbeCamera], image: NDArray[np.uint8]) -> None:
        """Send images until every camera got two answers, then forget them.

        With the second frame that arrives a node decides whether those before the first were lost
        or sent before it listened: from then on its counts are settled.

        Raises:
            NoAnswerError: if a node does not come up.
        """
        until_s = time.monotonic() + START_TIMEOUT_S
        for camera in cameras:
            while sum(camera.is_complete(answer) for answer in camera.answers.values()) < 2:
                if time.monotonic() > until_s:
                    raise NoAnswerError("expected the nodes to be ready within 180 s; see the logs")
                camera.send(image)
                self.spin(0.5)
        self.spin(1.0)  # late answers
        for camera in cameras:
            camera.answers.clear()

    def spin(self, duration_s: float) -> None:
        """Receive for some time."""
        until_s = time.monotonic() + duration_s
        while (left_s := until_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Receive until the condition holds.

        Raises:
            NoAnswerError: if it does not within a minute.
        """
        until_s = time.monotonic() + ANSWER_TIMEOUT_S
        while not condition():
            if time.monotonic() > until_s:
                raise NoAnswerError("expected an answer within 60 s, got none; see the logs")
            self._executor.spin_once(timeout_sec=0.1)

    def exchange(self, camera: ProbeCamera, image: NDArray[np.uint8]) -> Answer:
        """Send an image and wait for all of its answer."""
        answer = camera.send(image)
        self.wait(lambda: camera.is_complete(answer))
        return answer

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = status_values(status)
