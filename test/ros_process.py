# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own, and a peer that talks to it over real topics."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from gsvnet_ros.messages.message_fields import stamp_ns, status_values

START_S = 240.0
ANSWER_S = 60.0
"""Longest wait for what comes at once where the machine is not busy."""

ASKED_AGAIN_S = 2.0
FRAME_PERIOD_NS = 33_000_000
INTERVAL = 3
"""Keyframe interval of the running node."""

HEIGHT, WIDTH = 120, 160
_NUMBERS = itertools.count()

RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)

Result = TypeVar("Result")


def scene(index: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Return frame `index` of a pan over a smooth random picture, (height, width, 3) RGB."""
    cells = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    panorama = cv2.resize(cells, (WIDTH * 3, HEIGHT * 3), interpolation=cv2.INTER_CUBIC)
    top, left = 3 * (index % 40), 5 * (index % 40)
    return np.ascontiguousarray(panorama[top : top + height, left : left + width])


def image_message(
    pixels: NDArray[np.uint8], encoding: str = "rgb8", frame_id: str = "camera"
) -> Image:
    """Return an image message without padding; the stamp is left to the sender."""
    step = int(np.prod(pixels.shape[1:]))
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=step)
    message.header.frame_id = frame_id
    message.data.frombytes(np.ascontiguousarray(pixels).data)
    return message


def pixels_of(message: Image, channels: int = 1) -> NDArray[np.uint8]:
    """Return the pixels of an 8-bit message."""
    pixels = np.frombuffer(message.data, np.uint8)
    shape = (message.height, message.width) + ((channels,) if channels > 1 else ())
    return pixels.reshape(shape)


class Peer:
    """A node in the test's process that sends images and collects what comes back."""

    def __init__(self, namespace: str = "/") -> None:
        self.node: Node = rclpy.create_node(
            f"peer{next(_NUMBERS)}", namespace=namespace, start_parameter_services=False
        )
        self.node_name = f"{namespace.rstrip('/')}/segmentation"
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._clients: dict[str, Any] = {}
        self._parameters = AsyncParameterClient(self.node, self.node_name)
        self._stamp_ns = time.time_ns()

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()

    # Topics

    def listen(
        self, message_type: type[Any], topic: str, qos: QoSProfile | int = RELIABLE
    ) -> list[Any]:
        """Collect the messages of a topic and return the growing list of them."""
        messages = self.received[topic]
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def publisher(self, topic: str, compressed: bool = False) -> Any:
        """Return a publisher of images that somebody listens to."""
        message_type = CompressedImage if compressed else Image
        publisher = self.node.create_publisher(message_type, topic, RELIABLE)
        self.wait(lambda: publisher.get_subscription_count() > 0, START_S)
        return publisher

    def next_stamp(self, step_ns: int = FRAME_PERIOD_NS) -> int:
        """Advance the stamp of the images and return it in ns."""
        self._stamp_ns += step_ns
        return self._stamp_ns

    def stamp(self, message: Image | CompressedImage, nanoseconds: int) -> None:
        """Write a stamp into a message."""
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(nanoseconds, 10**9)

    # Waiting

    def wait(self, condition: Callable[[], object], timeout_s: float = ANSWER_S) -> None:
        """Receive messages until the condition holds.

        Raises:
            TimeoutError: if it does not within the time.
        """
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"expected an answer within {timeout_s} s, got none")
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def spin(self, duration_s: float) -> None:
        """Receive messages for some time."""
        end = time.monotonic() + duration_s
        while time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.02)

    # Services

    def call(self, service_type: type[Any], name: str, request: object) -> Any:
        """Call a service of the node and return its answer."""
        return self._answer(self._client(service_type, name).call_async(request))

    def reset(self) -> None:
        """Make the next frame start anew."""
        assert self.call(Trigger, "reset", Trigger.Request()).success

    def enable(self, on: bool) -> None:
        """Pause or continue."""
        assert self.call(SetBool, "enable", SetBool.Request(data=on)).success

    def change_state(self, transition: str) -> bool:
        """Trigger a lifecycle transition and return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.label = transition
        future = self._client(ChangeState, "change_state").call_async(request)
        return bool(self._answer(future, START_S).success)

    def state(self) -> str:
        """Return the lifecycle state."""
        client = self._client(GetState, "get_state")
        answer = self._ask_until_answered(lambda: client.call_async(GetState.Request()))
        return str(answer.current_state.label)

    def set(self, **values: object) -> SetParametersResult:
        """Set parameters as one batch; `__` in a name stands for a dot."""
        parameters = [_parameter(name.replace("__", "."), value) for name, value in values.items()]
        self.wait(self._parameters.services_are_ready, START_S)
        return self._answer(self._parameters.set_parameters_atomically(parameters)).result

    def meet(self) -> None:
        """Ask a node that has just started until it answers."""
        self.wait(self._parameters.services_are_ready, START_S)
        self._ask_until_answered(lambda: self._parameters.get_parameters(["autostart"]))

    def get(self, name: str) -> Any:
        """Return the value of a parameter."""
        self.wait(self._parameters.services_are_ready, START_S)
        return parameter_value_to_python(
            self._answer(self._parameters.get_parameters([name])).values[0]
        )

    def describe(self, name: str) -> ParameterDescriptor:
        """Return the descriptor of a parameter."""
        return self._answer(self._parameters.describe_parameters([name])).descriptors[0]

    def list_parameters(self) -> list[str]:
        """Return the names of all parameters."""
        self.wait(self._parameters.services_are_ready, START_S)
        return list(self._answer(self._parameters.list_parameters()).result.names)

    def _client(self, service_type: type[Any], name: str) -> Any:
        """Return the client of a service that is ready."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service_type, f"{self.node_name}/{name}")
        self.wait(self._clients[name].service_is_ready, START_S)
        return self._clients[name]

    def _answer(self, future: Future[Any], timeout_s: float = ANSWER_S) -> Any:
        self.wait(future.done, timeout_s)
        return future.result()

    def _ask_until_answered(self, ask: Callable[[], Future[Any]]) -> Any:
        """Ask again and again: what is answered before the node has found its peer is lost."""
        asked: list[Future[Any]] = []

        def answered() -> list[Future[Any]]:
            return [future for future in asked if future.done()]

        def is_answered() -> bool:
            asked.append(ask())
            with contextlib.suppress(TimeoutError):
                self.wait(answered, ASKED_AGAIN_S)
            return bool(answered())

        self.wait(is_answered, START_S)
        return answered()[0].result()


class CameraPeer(Peer):
    """A peer that is one camera of the node and sees its masks, confidences and statuses.

    Args:
        camera: name of the camera, empty for the only one.
        compressed: whether to send CompressedImage.
        namespace: of the node and the images.
    """

    def __init__(self, camera: str = "", compressed: bool = False, namespace: str = "/") -> None:
        super().__init__(namespace)
        outputs = f"{self.node_name}/{camera}".rstrip("/")
        self.masks = self.listen(Image, f"{outputs}/mask")
        self.confidences = self.listen(Image, f"{outputs}/confidence")
        self.statuses = self.listen(DiagnosticStatus, f"{outputs}/status")
        self.diagnostics = self.listen(DiagnosticArray, "/diagnostics")
        self._title = f"{self.node_name[1:]}: {camera or 'camera'}"
        topic = f"{camera}/image" if camera else "image"
        self.images = self.publisher(f"{topic}/compressed" if compressed else topic, compressed)
        self.sent = 0

    def send(self, message: Image | CompressedImage, stamp: int | None = None) -> int:
        """Publish an image and return its stamp in ns."""
        nanoseconds = self.next_stamp() if stamp is None else stamp
        self.stamp(message, nanoseconds)
        self.images.publish(message)
        self.sent += 1
        return nanoseconds

    def exchange(
        self,
        message: Image | CompressedImage,
        stamp: int | None = None,
        timeout_s: float = ANSWER_S,
    ) -> tuple[Image, Image, dict[str, str]]:
        """Publish an image and return its mask, its confidence and its status."""
        for messages in (self.masks, self.confidences, self.statuses):
            messages.clear()
        nanoseconds = self.send(message, stamp)
        text = f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"

        def answers() -> list[list[Any]]:
            return [
                [mask for mask in self.masks if stamp_ns(mask.header) == nanoseconds],
                [conf for conf in self.confidences if stamp_ns(conf.header) == nanoseconds],
                [status for status in self.statuses if status_values(status)["stamp"] == text],
            ]

        self.wait(lambda: all(answers()), timeout_s)
        (mask, *_), (confidence, *_), (status, *_) = answers()
        return mask, confidence, status_values(status)

    def warm_up(self, message: Image | CompressedImage) -> None:
        """Send images until one comes back: both sides have found each other then."""
        self.wait(lambda: self._came_back(message), START_S)
        # By the next one the node knows how many it missed, and counts them, before the first.
        self.exchange(message)

    def _came_back(self, message: Image | CompressedImage) -> bool:
        self.send(message)
        self.spin(0.3)
        return bool(self.masks and self.confidences and self.statuses)

    def counts(self) -> dict[str, int]:
        """Return sent, served, waiting and the drops by reason, when nothing waits any more."""
        begun_ns = time.time_ns()
        self.diagnostics.clear()
        self.wait(lambda: self.counts_since(begun_ns).get("waiting") == 0)
        return self.counts_since(begun_ns)

    def changes(self, act: Callable[[], object]) -> dict[str, int]:
        """Return how the counts changed while something was done, once all it sent is counted."""
        before, sent_before = self.counts(), self.sent
        act()
        after = before

        def all_came() -> bool:
            nonlocal after
            after = self.counts()
            return after["sent"] - before["sent"] >= self.sent - sent_before

        self.wait(all_came)
        changes = {key: after[key] - before.get(key, 0) for key in after}
        return {key: change for key, change in changes.items() if change}

    def counts_since(self, begun_ns: int) -> dict[str, int]:
        """Return the counts of the latest report that began after this system time, else none."""
        for array in reversed(self.diagnostics):
            if stamp_ns(array.header) <= begun_ns:  # was under way, and tells of the past
                continue
            for status in array.status:
                if status.name == self._title:
                    return {
                        key: int(value)
                        for key, value in status_values(status).items()
                        if key in ("sent", "served", "waiting", "dropped")
                        or key.startswith("dropped.")
                    }
        return {}


def _parameter(name: str, value: object) -> Parameter[Any]:
    if value == []:
        return Parameter(name, Parameter.Type.STRING_ARRAY, [])
    return Parameter(name, value=value)
