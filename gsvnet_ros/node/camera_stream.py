# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One camera: its subscription, its temporal state and its outputs."""

from __future__ import annotations

import math
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from gsvnet_model.model import SegmentationModel
from gsvnet_model.outputs.merge import MergedClasses
from gsvnet_model.stream.background_keyframe import KeyframeWorker
from gsvnet_model.stream.segmenter import PreparedFrame, Segmentation, VideoSegmenter, step_together
from gsvnet_ros.health.diagnostics import diagnostic_name, frame_status
from gsvnet_ros.health.frame_counts import DropReason, FrameCounts
from gsvnet_ros.health.stream_health import StreamHealth
from gsvnet_ros.messages.image_messages import BadImage, rgb_from_compressed, rgb_from_image
from gsvnet_ros.messages.message_fields import stamp_ns
from gsvnet_ros.node.continuity import FrameOrigin, find_discontinuity
from gsvnet_ros.node.frame_queue import ReceivedFrame
from gsvnet_ros.node.keyframe_policies import policy_for
from gsvnet_ros.node.output_publishers import OutputPublishers
from gsvnet_ros.node.parameters import Settings

LOG_PERIOD_S = 5.0
"""A fault that repeats with every frame is logged this often, each camera's and kind apart."""


STAGGER = "stagger"
"""Reason of the one early keyframe that shifts a camera's keyframes."""

_OF_THE_STREAM = ("interval", "quality", "budget", "cut", "delay", "behind", STAGGER)
"""Reasons of keyframes in the course of a stream; with any other one it starts anew."""


@dataclass(frozen=True)
class FrameSettings:
    """What is fixed while one frame is served.

    Attributes:
        settings: the parameters.
        classes: the published classes.
    """

    settings: Settings
    classes: MergedClasses


@dataclass(frozen=True)
class PendingFrame:
    """A frame on its way through the networks.

    Attributes:
        stream: its camera.
        header: of the image.
        prepared: the frame for the networks.
        origin: where it comes from.
        decode_ms: what it took to read the message.
        taken_s: when its turn came, on the steady clock.
    """

    stream: CameraStream
    header: Header
    prepared: PreparedFrame
    origin: FrameOrigin
    decode_ms: float
    taken_s: float


class CameraStream:
    """Serves the frames of one camera, in the inference thread.

    Args:
        node: the node, for its clock, log and publishers.
        name: camera name, empty for the only camera of a node.
        model: the weights, shared by all streams, as is
        worker: what labels keyframes beside the streams where `keyframe.mode` says so.
        keyframe_phase: place of this camera among all, 0 to 1: its share of the keyframe
            interval by which its keyframes are shifted.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        model: SegmentationModel,
        worker: KeyframeWorker,
        keyframe_phase: float,
    ) -> None:
        self.title = f"{diagnostic_name(node)}: {name or 'camera'}"
        self.counts = FrameCounts()
        self.health = StreamHealth(self.counts.snapshot())
        self.camera_info: CameraInfo | None = None
        prefix = f"~/{name}/" if name else "~/"
        self.outputs = OutputPublishers(node, prefix, model.info.keyframe_network)
        self._node = node
        self._segmenter = VideoSegmenter(model)
        self._worker = worker
        self._keyframe_phase = keyframe_phase
        self._origin: FrameOrigin | None = None
        # The newest request; set by any thread, taken by the inference thread.
        self._forced: deque[str] = deque(maxlen=1)
        self._frames_to_shift = 0
        self._was_waited_for = False
        self._warned_s: dict[str, float] = {}

    def forget(self) -> None:
        """Forget the temporal state; only while the inference thread does not run."""
        self._segmenter.reset()
        self._origin = None
        self.health = StreamHealth(self.counts.snapshot())

    def force_keyframe(self, reason: str) -> None:
        """Make the next frame a keyframe that starts anew; callable from any thread."""
        self._forced.append(reason)

    def prepare(self, frame: ReceivedFrame, now: FrameSettings) -> PendingFrame | None:
        """Read a message and prepare its image; drop and count it where that fails."""
        try:
            return self._prepare(frame, now.settings)
        except BadImage as error:
            self._drop(error.reason, str(error))
        # One bad frame must not end the node, whatever a decoder raises.
        except Exception:
            self.fail()
        return None

    def fail(self) -> None:
        """Count a frame for which an exception was raised, and start anew with the next."""
        if not self._node.context.ok():
            self.counts.drop("stopped")
            return
        self._segmenter.reset()
        self._drop("failed", traceback.format_exc())

    def publish(
        self, pending: PendingFrame, segmentation: Segmentation, now: FrameSettings
    ) -> None:
        """Publish the outputs of a frame and where they come from, or count it as failed."""
        header, settings = pending.header, now.settings
        segmented = time.perf_counter()
        self._origin = pending.origin
        self._was_waited_for = segmentation.is_keyframe
        if segmentation.is_keyframe and segmentation.reason not in _OF_THE_STREAM:
            # The stream starts here: one early keyframe puts it into its place among the others.
            self._frames_to_shift = int(self._keyframe_phase * settings.keyframe_interval)
        image = pending.prepared.image
        try:
            self.outputs.publish(
                header, image, segmentation, self.camera_info, now.classes, settings
            )
        except Exception:
            self.fail()
            return
        self.counts.serve()
        stage_ms = {
            "decode": pending.decode_ms,
            **segmentation.stage_ms,
            # From its turn to its labels: with other cameras' frames beside it that is more
            # than the sum of its own stages.
            "step": 1e3 * (segmented - pending.taken_s) - pending.decode_ms,
            "publish": 1e3 * (time.perf_counter() - segmented),
            "latency": 1e3 * self._age_s(header),
        }
        now_ns = self._node.get_clock().now().nanoseconds
        self.health.served(now_ns, bool(segmentation.reason), stage_ms["latency"])
        try:
            self.outputs.publish_status(
                lambda: frame_status(
                    self.title,
                    header,
                    segmentation,
                    self._segmenter.policy.describe(),
                    stage_ms,
                    self.counts.snapshot(),
                )
            )
        except Exception:
            if self._node.context.ok():
                self._warn("status", f"status not published: {traceback.format_exc()}")

    def _prepare(self, frame: ReceivedFrame, settings: Settings) -> PendingFrame | None:
        taken = time.perf_counter()
        header = frame.message.header
        age_s = self._age_s(header)
        if settings.frames_max_age > 0.0 and age_s > settings.frames_max_age:
            self._drop("too_old", f"its stamp is {age_s:.3f} s old")
            return None
        image = _decode(frame)
        origin = FrameOrigin(
            stamp_ns(header),
            header.frame_id,
            frame.publisher,
            frame.sequence,
            frame.source_ns,
            frame.before_ns,
        )
        discontinuity = find_discontinuity(self._origin, origin, settings.frames_max_gap)
        # What starts anew has no order to keep.
        if discontinuity == "out_of_order" and not self._forced:
            self._drop("out_of_order", "it was taken and published before the last frame")
            return None
        decode_ms = 1e3 * (time.perf_counter() - taken)
        segmenter = self._segmenter
        segmenter.policy = policy_for(settings, segmenter.policy)
        segmenter.carry_over = settings.keyframe_carry_over
        # Labels as old as that are not carried on. After a frame that was waited for they are: a
        # keyframe that takes so long would be followed by nothing but such.
        is_too_late = discontinuity == "delay" and not self._was_waited_for
        beside = settings.keyframe_mode == "background" and not is_too_late
        segmenter.background = self._worker if beside else None
        try:
            prepared = segmenter.prepare(image, self._keyframe_reason(discontinuity, settings))
        except ValueError as error:
            raise BadImage("bad_size", str(error)) from error
        return PendingFrame(self, header, prepared, origin, decode_ms, taken)

    def _keyframe_reason(self, discontinuity: str, settings: Settings) -> str:
        """Return why the next frame has to be a keyframe, whatever the interval, else ""."""
        reason = (self._forced.popleft() if self._forced else "") or discontinuity
        if reason and reason not in _OF_THE_STREAM:
            self._segmenter.reset()
        elif self._frames_to_shift:
            self._frames_to_shift -= 1
            fixed = settings.keyframe_policy == "fixed"
            if self._frames_to_shift == 0 and settings.keyframe_stagger and fixed:
                reason = STAGGER
        return reason

    def _drop(self, reason: DropReason, why: str) -> None:
        self.counts.drop(reason)
        self._warn(reason, f"frame dropped ({reason}): {why}")

    def _warn(self, kind: str, what: str) -> None:
        # rclpy throttles by the line that logs, all cameras and kinds as one, and on a clock that
        # may be set back.
        now_s = time.monotonic()
        if now_s - self._warned_s.get(kind, -math.inf) >= LOG_PERIOD_S:
            self._warned_s[kind] = now_s
            self._node.get_logger().warning(f"{self.title}: {what}")

    def _age_s(self, header: Header) -> float:
        return 1e-9 * (self._node.get_clock().now().nanoseconds - stamp_ns(header))


def _decode(frame: ReceivedFrame) -> NDArray[np.uint8]:
    if isinstance(frame.message, CompressedImage):
        return rgb_from_compressed(frame.message)
    return rgb_from_image(frame.message)


def serve_together(
    frames: Sequence[tuple[CameraStream, ReceivedFrame]], now: FrameSettings
) -> None:
    """Label and publish one frame each of several cameras, or drop and count it."""
    prepared = [stream.prepare(frame, now) for stream, frame in frames]
    pending = {id(frame.prepared): frame for frame in prepared if frame is not None}
    try:
        for done, segmentation in step_together([frame.prepared for frame in pending.values()]):
            frame = pending.pop(id(done))
            frame.stream.publish(frame, segmentation, now)
    # One frame must not end the node, whatever the networks or a driver raise.
    except Exception:
        for frame in pending.values():
            frame.stream.fail()
