# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The managed node `segmentation`: camera images in, class ids and confidence out.

The executor's thread takes messages and answers services; inference threads serve the
frames, each camera's in one thread at a time. What they share is either immutable and
replaced whole, or locked.
"""

from __future__ import annotations

# Before torch: it sets how torch's threads wait for one another.
import gsvnet_model  # noqa: F401

# isort: split
import gc
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from gsvnet_model.checkpoint import load_model
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import UNTRAINED_PROPAGATION, ModelInfo
from gsvnet_model.outputs.merge import MergedClasses, merge_classes
from gsvnet_model.stream.background_keyframe import KeyframeWorker
from gsvnet_model.stream.segmenter import VideoSegmenter
from gsvnet_ros.health.diagnostics import camera_status, diagnostic_name, node_status
from gsvnet_ros.health.stream_health import HealthLimits
from gsvnet_ros.messages.class_messages import class_database, vision_msgs
from gsvnet_ros.node.camera_stream import CameraStream, FrameSettings, serve
from gsvnet_ros.node.camera_subscription import CameraSubscription
from gsvnet_ros.node.frame_queue import FrameQueue
from gsvnet_ros.node.graph_neighbours import NameWatch, explain_autostart
from gsvnet_ros.node.node_parameters import NodeParameters
from gsvnet_ros.node.parameters import SPECS, Settings, setting_values
from gsvnet_ros.startup.interruption import call_until_shutdown

DIAGNOSTICS_PERIOD_S = 1.0

WARM_UP_SIZE = (256, 256)
"""(H, W) of the images that load kernels and compile loops before the first frame."""


class SegmentationNode(LifecycleNode):
    """Labels the frames of one or several cameras."""

    def __init__(self) -> None:
        """Declare the parameters and offer the services.

        Raises:
            ValueError: if a given parameter is wrong.
        """
        super().__init__("segmentation", automatically_declare_parameters_from_overrides=True)
        self._model: SegmentationModel | None = None
        self._worker: KeyframeWorker | None = None
        self._frame_settings: FrameSettings | None = None
        self._streams: list[CameraStream] = []
        self._subscriptions_of_cameras: list[CameraSubscription] = []
        self._queue: FrameQueue | None = None
        self._inference: list[threading.Thread] = []
        self._enabled = True
        self._fault = ""
        self._is_finalized = False
        self._parameters_of_node = NodeParameters(self, self._check_settings, self._apply_settings)
        self._name_watch = NameWatch(self)
        explain_autostart(self, lambda: self.settings.autostart)
        self.create_service(Trigger, "~/reset", self._reset)
        self.create_service(Trigger, "~/force_keyframe", self._force_keyframe)
        self.create_service(SetBool, "~/enable", self._enable)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: diagnostics go on while a simulated clock stands still.
        self.create_timer(
            DIAGNOSTICS_PERIOD_S,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def declare_parameters(
        self,
        namespace: str,
        parameters: Sequence[tuple[Any, ...]],
        ignore_override: bool = False,
    ) -> list[Parameter[Any]]:
        """Declare parameters, save those given without a value, which keep their default.

        That is what `cameras: []` comes as, in every file that `ros2 param dump` writes: an empty
        list has no type. rclpy would refuse it, and with it the whole node.
        """
        given = [entry for entry in parameters if len(entry) == 1 or entry[1] is not None]
        return super().declare_parameters(namespace, given, ignore_override)

    @property
    def settings(self) -> Settings:
        """The current parameters."""
        return self._parameters_of_node.settings

    def start(self) -> None:
        """Configure and activate, if the parameter `autostart` says so."""
        if not self.settings.autostart:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS and self.context.ok():
            self.trigger_activate()

    def stop(self) -> None:
        """Stop serving and release everything, in any state."""
        self._stop_serving()
        self._release()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights, warm up, and offer the output topics."""
        settings = self.settings
        self._fault = ""
        # Asked in this thread first: it then keeps torch's number, whatever others set for theirs.
        threads = processor_threads(settings.model_threads)
        try:
            # In a thread that ends: what OpenMP starts for it would else stay, and where there are
            # more threads than cores those of the inference would sleep while they wait.
            model = call_until_shutdown(lambda: _loaded_model(settings, threads), self.context)
            classes = merge_classes(model.info.classes, settings.classes_merge)
        except ExternalShutdownException:
            return TransitionCallbackReturn.FAILURE
        # Whatever is wrong with a file or a device, the node stays to be told better.
        except Exception as error:
            self._fault = f"cannot configure: {error}"
            self.get_logger().error(
                f"{self._fault}. Set the parameter, then: "
                f"ros2 lifecycle set {self.get_fully_qualified_name()} configure"
            )
            return TransitionCallbackReturn.FAILURE
        if not self.context.ok():  # interrupted meanwhile
            return TransitionCallbackReturn.FAILURE
        self._model = model
        if not model.info.propagation_trained:
            self.get_logger().warning(f"{settings.model_weights}: {UNTRAINED_PROPAGATION}")
        worker = self._worker = KeyframeWorker(model, threads)
        names = settings.cameras or ("",)
        self._streams = [
            CameraStream(self, name, model, worker, index / len(names))
            for index, name in enumerate(names)
        ]
        self._use(settings, classes)
        for stream in self._streams:
            stream.outputs.publish_classes(classes, settings)
        if vision_msgs() is None:
            self.get_logger().info(
                "vision_msgs is not installed: no ~/label_info, the classes are on ~/class_map",
                once=True,
            )
        self.get_logger().info(
            f"configured: {model.info.keyframe_network}, {classes.table.num_classes} classes, "
            f"{model.device}, {model.precision}"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras and serve their frames."""
        self._fault = ""
        try:
            self._start_serving()
        # Such as a QoS override that is no such policy; rclpy would not tell.
        except Exception as error:
            self._fault = f"cannot activate: {error}"
            self.get_logger().error(self._fault)
            self._stop_serving()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; frames that wait are counted as stopped."""
        self._stop_serving()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the weights, the device's memory and the output topics."""
        self._fault = ""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release everything."""
        self.stop()
        self._fault, self._is_finalized = "", True
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after an error in a transition."""
        self.get_logger().error(f"error in a transition from '{state.label}'; now unconfigured")
        self.stop()
        return TransitionCallbackReturn.SUCCESS

    def _serve(self, queue: FrameQueue, cameras: Sequence[int], torch_threads: int) -> None:
        """Serve the frames of some cameras until the queue is closed; runs in a thread."""
        torch.set_num_threads(torch_threads)  # of the networks that this thread runs
        while taken := queue.take(cameras):
            # Read once: what changes meanwhile counts from the next frame on.
            settings = self._frame_settings
            assert settings is not None
            serve([(self._streams[index], frame) for index, frame in taken], settings)

    def _start_serving(self) -> None:
        settings = self.settings
        keeps_newest = settings.frames_policy == "latest"
        assert self._model is not None
        self._queue = FrameQueue(
            [stream.counts for stream in self._streams],
            places=1 if keeps_newest else settings.frames_queue,
            keep_newest=keeps_newest,
        )
        self._inference = [
            threading.Thread(
                target=self._serve, args=(self._queue, *share), name="inference", daemon=True
            )
            for share in inference_threads(
                self._model.device, len(self._streams), settings.model_threads
            )
        ]
        for thread in self._inference:
            thread.start()
        for index, name in enumerate(settings.cameras or ("",)):
            subscription = CameraSubscription(
                self, name, index, self._streams[index], self._queue, settings
            )
            self._subscriptions_of_cameras.append(subscription)
            subscription.paused = not self._enabled
            self.get_logger().info(f"serving {subscription.image_topic}")
        self._parameters_of_node.warn_of_unused_overrides()

    def _stop_serving(self) -> None:
        for subscription in self._subscriptions_of_cameras:
            subscription.destroy()
        self._subscriptions_of_cameras = []
        if self._queue is not None:
            self._queue.close()
        for thread in self._inference:
            thread.join()
        self._queue, self._inference = None, []
        for stream in self._streams:
            stream.forget()

    def _release(self) -> None:
        for stream in self._streams:
            stream.outputs.destroy()
        self._streams = []
        if self._worker is not None:
            self._worker.close()
        self._worker = None
        self._model = None
        self._frame_settings = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _check_settings(self, current: Settings, new: Settings) -> None:
        if self._model is None:
            return
        before, after = setting_values(current), setting_values(new)
        for spec in SPECS:
            if spec.effect == "configure" and before[spec.name] != after[spec.name]:
                raise ValueError(
                    f"{spec.name} is read at configure: deactivate the node, clean it up, set it, "
                    "then configure and activate "
                    f"(each with ros2 lifecycle set {self.get_fully_qualified_name()} ...)"
                )
        merge_classes(self._model.info.classes, new.classes_merge)
        check_policy(new, self._model.info)

    def _apply_settings(self, settings: Settings) -> None:
        if self._model is not None:
            self._use(settings, merge_classes(self._model.info.classes, settings.classes_merge))

    def _use(self, settings: Settings, classes: MergedClasses) -> None:
        self._frame_settings = FrameSettings(settings, classes)
        self._parameters_of_node.write_database(class_database(classes.table))

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._make_keyframes("reset", response)

    def _force_keyframe(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return self._make_keyframes("forced", response)

    def _make_keyframes(self, reason: str, response: Trigger.Response) -> Trigger.Response:
        for stream in self._streams:
            stream.force_keyframe(reason)
        response.success = bool(self._streams)
        response.message = (
            "the next frame is a keyframe" if self._streams else "the node is not configured"
        )
        return response

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data and not self._enabled:
            for stream in self._streams:
                stream.force_keyframe("enabled")
        self._enabled = request.data
        for subscription in self._subscriptions_of_cameras:
            subscription.paused = not request.data
        response.success = True
        response.message = "serving frames" if request.data else "paused"
        return response

    def _publish_diagnostics(self) -> None:
        now = self.get_clock().now()
        state = "finalized" if self._is_finalized else "unconfigured"
        if self._streams:
            state = "active" if self._subscriptions_of_cameras else "inactive"
            if state == "active" and not self._enabled:
                state = "paused"
        array = DiagnosticArray()
        array.header.stamp = now.to_msg()
        array.status = [node_status(diagnostic_name(self), state, self._fault, self._model)]
        if self._subscriptions_of_cameras:
            limits = HealthLimits(
                self.settings.diagnostics_latency_budget_ms,
                self.settings.diagnostics_stale_after,
            )
            for stream, subscription in zip(
                self._streams, self._subscriptions_of_cameras, strict=True
            ):
                counts = stream.counts.snapshot()
                report = stream.health.report(time.monotonic_ns(), counts, limits)
                array.status.append(camera_status(stream.title, report, counts))
                subscription.report(report)
        self._diagnostics.publish(array)
        self._name_watch.look()


def processor_threads(limit: int) -> int:
    """Return how many processor threads the networks take: as many as torch, at most `limit`.

    Args:
        limit: threads in all; 0 sets none.
    """
    return min(limit, torch.get_num_threads()) if limit else torch.get_num_threads()


def inference_threads(
    device: torch.device, cameras: int, limit: int
) -> list[tuple[Sequence[int], int]]:
    """Return which cameras each inference thread serves, and with how many processor threads.

    On a CPU every camera has a thread of its own: networks of several cameras side by side keep
    every core busy without the waits between the threads of one operation. On a GPU one thread
    serves all cameras, as one batch per tick.

    Args:
        device: where the networks run.
        cameras: number of cameras.
        limit: processor threads in all; 0 takes as many as torch does.
    """
    threads = processor_threads(limit)
    if device.type != "cpu":
        return [(range(cameras), threads)]
    return [([camera], max(1, threads // cameras)) for camera in range(cameras)]


def check_policy(settings: Settings, info: ModelInfo) -> None:
    """Check that the weights can serve the keyframe policy.

    Raises:
        ValueError: if the policy goes by an estimate that the weights do not carry.
    """
    if settings.keyframe_policy == "adaptive" and not info.quality.is_fitted:
        raise ValueError(
            "keyframe.policy: adaptive needs weights that carry an estimate of quality, these "
            "carry none; fit one with 'gsvnet fit-quality --store' or use fixed or budget"
        )


def _loaded_model(settings: Settings, torch_threads: int) -> SegmentationModel:
    """Load the weights and warm up, with so many processor threads.

    Raises:
        Exception: whatever is wrong with settings, file or device.
    """
    torch.set_num_threads(torch_threads)
    model = load_model(
        settings.model_weights or None,
        settings.model_device,
        settings.model_precision,
        settings.model_input_scale or None,
    )
    check_policy(settings, model.info)
    warm_up(model)
    return model


def warm_up(model: SegmentationModel) -> None:
    """Label a few frames, so that the first frames of a camera have nothing to compile."""
    # The stripes move, because nothing is propagated where nothing moves. Two frames are
    # propagated, because only the second one continues from propagated logits.
    segmenter = VideoSegmenter(model, keyframe_interval=3)
    stripes = np.zeros((*WARM_UP_SIZE, 3), np.uint8)
    stripes[:, np.arange(WARM_UP_SIZE[1]) % 64 < 32] = 255
    for index in range(3):
        segmenter.step(np.roll(stripes, 4 * index, axis=1))
