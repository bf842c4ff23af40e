# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One camera: from a received message to its published outputs."""

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
from gsvnet_model.outputs.consumer import output_size
from gsvnet_model.outputs.merge import MergedClasses
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.budget import BudgetPolicy
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.stream.background_keyframe import KeyframeWorker
from gsvnet_model.stream.segmenter import Segmentation, StepOptions, VideoSegmenter
from gsvnet_ros.health.diagnostics import diagnostic_name, frame_status
from gsvnet_ros.health.frame_counts import DropReason, FrameCounts
from gsvnet_ros.health.stream_health import StreamHealth
from gsvnet_ros.messages.image_messages import BadImage, rgb_from_compressed, rgb_from_image
from gsvnet_ros.messages.message_fields import stamp_ns
from gsvnet_ros.node.continuity import FrameOrigin, find_discontinuity
from gsvnet_ros.node.frame_queue import ReceivedFrame
from gsvnet_ros.node.output_publishers import OutputPublishers
from gsvnet_ros.node.parameters import Settings

LOG_PERIOD_S = 5.0
"""A fault that repeats with every frame is logged this often, each camera's and kind apart."""


STAGGER = "stagger"
"""Reason of the one early keyframe that shifts a camera's keyframes."""

_OF_THE_STREAM = ("interval", "quality", "budget", "cut", "delay", "timed_out", STAGGER)
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
class DecodedFrame:
    """A frame that is ready for the networks.

    Attributes:
        header: of the image message.
        image: (H, W, 3) uint8 RGB.
        options: how it is to be labelled.
        origin: where it comes from.
        decode_ms: what it took to read the message.
        taken_s: when its turn came, on the steady clock.
    """

    header: Header
    image: NDArray[np.uint8]
    options: StepOptions
    origin: FrameOrigin
    decode_ms: float
    taken_s: float


class CameraStream:
    """Serves the frames of one camera, in the inference thread.

    Args:
        node: the node, for its clock, log and publishers.
        name: camera name, empty for the only camera of a node.
        model: the weights, shared by all streams.
        worker: labels background keyframes where `keyframe.mode` says so; shared by all streams.
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
        self.segmenter = VideoSegmenter(model)
        self._worker = worker
        self._policy: KeyframePolicy = self.segmenter.options.policy
        self._keyframe_phase = keyframe_phase
        self._origin: FrameOrigin | None = None
        # The newest request; set by any thread, taken by the inference thread.
        self._forced: deque[str] = deque(maxlen=1)
        self._frames_to_shift = 0
        self._was_waited_for = False
        self._warned_s: dict[str, float] = {}

    def forget(self) -> None:
        """Forget the temporal state; only while the inference thread does not run."""
        self.segmenter.reset()
        self._origin = None
        self.health = StreamHealth(self.counts.snapshot())

    def force_keyframe(self, reason: str) -> None:
        """Make the next frame a keyframe that starts anew; callable from any thread."""
        self._forced.append(reason)

    def decode(self, frame: ReceivedFrame, now: FrameSettings) -> DecodedFrame | None:
        """Read a message and decide how its frame is labelled; drop and count it if that fails."""
        try:
            return self._decode(frame, now.settings)
        except BadImage as error:
            self._drop(error.reason, str(error))
        # One bad frame must not end the node, whatever a decoder raises.
        except Exception:
            self.fail()
        return None

    def refuse(self, error: ValueError) -> None:
        """Drop and count a frame whose image has a size that cannot be served."""
        self._drop("bad_size", str(error))

    def fail(self) -> None:
        """Count a frame for which an exception was raised, and start anew with the next."""
        if not self._node.context.ok():
            self.counts.drop("stopped")
            return
        self.segmenter.reset()
        self._drop("failed", traceback.format_exc())

    def publish(self, frame: DecodedFrame, segmentation: Segmentation, now: FrameSettings) -> None:
        """Publish the outputs of a frame and where they come from, or count it as failed."""
        header, settings = frame.header, now.settings
        segmented = time.perf_counter()
        self._origin = frame.origin
        self._was_waited_for = segmentation.is_keyframe
        if segmentation.is_keyframe and segmentation.reason not in _OF_THE_STREAM:
            # The stream starts here: one early keyframe puts it into its place among the others.
            self._frames_to_shift = int(self._keyframe_phase * settings.keyframe_interval)
        try:
            self.outputs.publish(
                header, frame.image, segmentation, self.camera_info, now.classes, settings
            )
        except Exception:
            self.fail()
            return
        self.counts.serve()
        stage_ms = {
            "decode": frame.decode_ms,
            **segmentation.stage_ms,
            # From its turn to its labels: with other cameras' frames beside it that is more
            # than the sum of its own stages.
            "step": 1e3 * (segmented - frame.taken_s) - frame.decode_ms,
            "publish": 1e3 * (time.perf_counter() - segmented),
        }
        age_s = self._age_s(header)
        if age_s is not None:
            stage_ms["latency"] = 1e3 * age_s
        self.health.served(time.monotonic_ns(), bool(segmentation.reason), stage_ms.get("latency"))
        try:
            self.outputs.publish_status(
                lambda: frame_status(
                    self.title,
                    header,
                    segmentation,
                    self._policy.describe(),
                    stage_ms,
                    self.counts.snapshot(),
                )
            )
        except Exception:
            if self._node.context.ok():
                self._warn("status", f"status not published: {traceback.format_exc()}")

    def _decode(self, frame: ReceivedFrame, settings: Settings) -> DecodedFrame | None:
        taken = time.perf_counter()
        header = frame.message.header
        age_s = self._age_s(header)
        if age_s is not None and 0.0 < settings.frames_max_age < age_s:
            self._drop("too_old", f"its stamp is {age_s:.3f} s old")
            return None
        image = _rgb(frame)
        try:
            output_size(
                image.shape[0], image.shape[1], settings.output_height, settings.output_width
            )
        except ValueError as error:
            self.refuse(error)
            return None
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
        self._policy = _policy(settings, self._policy)
        # Labels as old as that are not carried on. After a frame that was waited for they are: a
        # keyframe that takes so long would be followed by nothing but such.
        is_too_late = discontinuity == "delay" and not self._was_waited_for
        in_background = settings.keyframe_mode == "background" and not is_too_late
        options = StepOptions(
            self._policy,
            self._worker if in_background else None,
            settings.keyframe_carry_over,
            self._keyframe_reason(discontinuity, settings),
        )
        return DecodedFrame(header, image, options, origin, decode_ms, taken)

    def _keyframe_reason(self, discontinuity: str, settings: Settings) -> str:
        """Return why the next frame has to be a keyframe, whatever the interval, else ""."""
        reason = (self._forced.popleft() if self._forced else "") or discontinuity
        if reason and reason not in _OF_THE_STREAM:
            self.segmenter.reset()
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

    def _age_s(self, header: Header) -> float | None:
        """Return the age of an image by its stamp, s; None if stamp and clock do not fit."""
        now_ns = self._node.get_clock().now().nanoseconds
        return self.health.stamp_clock.age_s(stamp_ns(header), now_ns)


def _rgb(frame: ReceivedFrame) -> NDArray[np.uint8]:
    if isinstance(frame.message, CompressedImage):
        return rgb_from_compressed(frame.message)
    return rgb_from_image(frame.message)


def _policy(settings: Settings, current: KeyframePolicy) -> KeyframePolicy:
    """Return the policy that the parameters ask for.

    Args:
        settings: of the next frame.
        current: the policy of the frame before. A `BudgetPolicy` is kept, with what it has learned
            of costs, while the parameters still ask for one.
    """
    if settings.keyframe_policy == "budget":
        if isinstance(current, BudgetPolicy):
            if current.target_ms != settings.keyframe_target_ms:
                current.target_ms = settings.keyframe_target_ms
            return current
        return BudgetPolicy(settings.keyframe_target_ms)
    if settings.keyframe_policy == "adaptive":
        return AdaptivePolicy(
            settings.keyframe_threshold,
            settings.keyframe_min_interval,
            settings.keyframe_max_interval,
        )
    return FixedPolicy(settings.keyframe_interval)


def serve(frames: Sequence[tuple[CameraStream, ReceivedFrame]], now: FrameSettings) -> None:
    """Label and publish one frame each of some cameras, or drop and count it.

    Args:
        frames: cameras and their frames: one on a CPU, on a GPU all that wait.
        now: what is fixed while the frames are served.
    """
    decoded = [(stream, stream.decode(frame, now)) for stream, frame in frames]
    ready = [(stream, frame) for stream, frame in decoded if frame is not None]
    try:
        labelled = VideoSegmenter.step_batch(
            [(stream.segmenter, frame.image, frame.options) for stream, frame in ready]
        )
    # One frame must not end the node, whatever the networks or a driver raise.
    except Exception:
        for stream, _ in ready:
            stream.fail()
        return
    for (stream, frame), segmentation in zip(ready, labelled, strict=True):
        if isinstance(segmentation, ValueError):
            stream.refuse(segmentation)
        else:
            stream.publish(frame, segmentation, now)
