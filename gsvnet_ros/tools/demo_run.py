# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One run of the demo: starts the processes, watches them, and stops them in order."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter_client import AsyncParameterClient
from rclpy.signals import SignalHandlerOptions

from gsvnet_model.outputs.classes import ClassTable
from gsvnet_ros.messages.class_messages import DATABASE_PARAMETER
from gsvnet_ros.startup.processes import LoggedProcess, ros_arguments
from gsvnet_ros.tools.figures import latencies_ms
from gsvnet_ros.tools.progress import ProgressLine
from gsvnet_ros.tools.recorder import Recorder
from gsvnet_ros.tools.recording import Recording

NODE = "/segmentation"
_CAMERA_STATUS = "segmentation: camera"
_NODE_STATUS = "segmentation"

_START_TIMEOUT_S = 180.0
"""Loading PyTorch and compiling on a slow, busy machine."""

_STEADY_RATE_HZ = 10.0
"""Below, a few dropped frames make a gap for which the node would forget the past."""

_DRAIN_TIMEOUT_S = 120.0


class DemoError(RuntimeError):
    """The run did not work; the message says why."""


@dataclass(frozen=True)
class RunOptions:
    """What to run.

    Attributes:
        source: as `open_source` takes it.
        rate_hz: images per second.
        num_images: number of images, None for all of the source.
        size: (height, width), None for the source's.
        transport: raw or compressed.
        keyframe_interval: frames from one keyframe to the next.
        weights: path of a checkpoint, None for the weights in the package.
        lockstep: whether an image waits for the mask of the one before.
        records_images: whether to record the images too.
    """

    source: str
    rate_hz: float
    num_images: int | None
    size: tuple[int, int] | None
    transport: str
    keyframe_interval: int
    weights: str | None
    lockstep: bool
    records_images: bool


class DemoRun:
    """A recorder in this process, the node and the camera in their own.

    Args:
        options: what to run.
        recording: where the recorder keeps the frames.
        log_folder: for the output of the processes.
    """

    def __init__(self, options: RunOptions, recording: Recording, log_folder: Path) -> None:
        self.options = options
        self.published_ns: list[int] = []
        self._recording = recording
        self._frame_log = log_folder / "frames.log"
        self._frame_log.unlink(missing_ok=True)
        self._classes: ClassTable | None = None
        # Python's handler for Ctrl-C stays, so that everything is stopped in order.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        topics = [f"{name}:={NODE}/{name}" for name in ("mask", "confidence", "status")]
        remap = [word for topic in topics for word in ("-r", topic)]
        # First, so that it is known to the node before the node knows a frame.
        self._recorder = Recorder(recording, ["--ros-args", *remap])
        if options.records_images:
            self._recorder.record_images(options.transport)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._recorder)
        # Likewise: what the node answers before it has found the one who asks is lost.
        self._parameters = AsyncParameterClient(self._recorder, NODE)
        self._node = LoggedProcess(
            "node",
            "gsvnet_ros.segmentation_node",
            _node_arguments(options),
            log_folder / "node.log",
        )
        self._camera: LoggedProcess | None = None
        self._camera_arguments = [*_camera_arguments(options, self._frame_log), *remap]
        self._log_folder = log_folder

    @property
    def classes(self) -> ClassTable:
        """The classes of the masks, known after `play`."""
        assert self._classes is not None
        return self._classes

    @property
    def node_counts(self) -> Mapping[str, str]:
        """The node's last counts of the camera's frames."""
        return self._recorder.diagnostics.get(_CAMERA_STATUS, {})

    @property
    def node_values(self) -> Mapping[str, str]:
        """What the node runs on: device, precision, network, memory."""
        return self._recorder.diagnostics.get(_NODE_STATUS, {})

    def play(self) -> None:
        """Wait until all images are published and all masks have come back.

        Raises:
            DemoError: if a process fails or nothing happens.
        """
        progress = ProgressLine()
        started_s = time.monotonic()
        # Until then the node may not know of the recorder, and its first masks would reach nobody.
        while self.node_values.get("state") != "active":
            self._spin(0.2)
            self._check_processes()
            if time.monotonic() - started_s > _START_TIMEOUT_S:
                raise self._failure("the node was not ready in time", self._node)
        camera = self._camera = LoggedProcess(
            "camera",
            "gsvnet_ros.tools.camera",
            self._camera_arguments,
            self._log_folder / "camera.log",
        )
        while camera.exit_code is None:
            self._spin(0.2)
            self._check_processes()
            self._read_frame_log()
            self._show(progress)
        self._read_frame_log()
        if camera.exit_code != 0:
            raise self._failure("the camera failed", camera)
        self._drain(progress)
        progress.end()
        self._classes = self._read_classes()

    def stop(self) -> None:
        """Stop the camera, the node and the recorder, in this order."""
        if self._camera is not None:
            self._camera.stop()
        self._node.stop()
        self._executor.shutdown()
        self._recorder.destroy_node()
        rclpy.try_shutdown()

    def check_end(self) -> None:
        """Check, after `stop`, that the node went as it was told.

        Raises:
            DemoError: if it did not.
        """
        if self._node.exit_code != 0:
            raise self._failure(f"the node ended with {self._node.exit_code}", self._node)

    def _spin(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def _check_processes(self) -> None:
        if self._node.exit_code is not None:
            raise self._failure(f"the node ended with {self._node.exit_code}", self._node)
        # Diagnostics start after the node has tried to configure itself.
        if self.node_values.get("state") == "unconfigured":
            raise self._failure("the node could not be configured", self._node)

    def _drain(self, progress: ProgressLine) -> None:
        """Wait until the node has decided on every frame and its last counts are here."""
        deadline_s = time.monotonic() + _DRAIN_TIMEOUT_S
        seen = self._recorder.num_diagnostics
        while time.monotonic() < deadline_s:
            self._spin(0.2)
            self._check_processes()
            self._show(progress)
            # The second report from here on was made after the first, and so after the camera.
            news = self._recorder.num_diagnostics - seen
            if news >= 2 and int(self.node_counts.get("waiting", 0)) == 0:
                return
        raise self._failure("the node does not finish its frames", self._node)

    def _read_frame_log(self) -> None:
        """Read the stamps of the frames published so far."""
        if self._frame_log.exists():
            lines = self._frame_log.read_text().split("\n")[:-1]
            self.published_ns = [int(line.split()[1]) for line in lines]

    def _read_classes(self) -> ClassTable:
        future = self._parameters.get_parameters([DATABASE_PARAMETER])
        self._executor.spin_until_future_complete(future, timeout_sec=10.0)
        response = future.result() if future.done() else None
        if response is None:
            raise self._failure("the node does not say its classes", self._node)
        rows = json.loads(response.values[0].string_value)
        return ClassTable(
            tuple(row["name"] for row in rows), tuple(tuple(row["color"]) for row in rows)
        )

    def _show(self, progress: ProgressLine) -> None:
        labelled = self._recording.labelled_stamps()
        recent = [stamp_ns for stamp_ns in labelled if labelled[-1] - stamp_ns < 2 * 10**9]
        frames = [self._recording.frames[stamp_ns] for stamp_ns in recent]
        progress.show(
            published=len(self.published_ns),
            labelled=len(labelled),
            latencies_ms=latencies_ms(self._recording, recent),
            received_ns=[f.received_ns for f in frames if f.received_ns is not None],
            keyframes=sum(f.keyframe_age == 0 for f in frames),
        )

    def _failure(self, what: str, process: LoggedProcess) -> DemoError:
        return DemoError(f"{what}. The end of {process.log}:\n{process.log_tail()}")


def _node_arguments(options: RunOptions) -> list[str]:
    topic = "/image/compressed" if options.transport == "compressed" else "/image"
    parameters: dict[str, object] = {
        "keyframe.interval": options.keyframe_interval,
        "image_transport": options.transport,
        # What the node drops it counts; the middleware should not drop anything before that,
        # also while inference leaves the callback no processor for a moment.
        f"qos_overrides.{topic}.subscription.reliability": "reliable",
        f"qos_overrides.{topic}.subscription.depth": 10,
    }
    if options.weights is not None:
        parameters["model.weights"] = options.weights
    if options.lockstep or options.rate_hz < _STEADY_RATE_HZ:
        # The gaps between the stamps are this machine's, not the video's.
        parameters["frames.max_gap"] = 0.0
    return ros_arguments(parameters)


def _camera_arguments(options: RunOptions, frame_log: Path) -> list[str]:
    height, width = options.size or (0, 0)
    return ros_arguments(
        {
            "source": options.source,
            "rate": float(options.rate_hz),
            "frames": options.num_images or 0,
            "width": width,
            "height": height,
            "transport": options.transport,
            "subscribers": 1 + options.records_images,
            "lockstep": options.lockstep,
            "frame_log": str(frame_log.resolve()),
        }
    )
