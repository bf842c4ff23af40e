# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video streams: keyframes are segmented, the frames between them propagated.

See: paper Sec. 3 (framework overview).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gsvnet_model.labels import labels_and_confidence
from gsvnet_model.model import SegmentationModel
from gsvnet_model.preprocessing import GridImage, image_tensor
from gsvnet_model.scheduling import FixedPolicy, FrameQuality, KeyframePolicy
from gsvnet_model.stream_state import PropagatedState, StreamState, propagate_states

DEFAULT_KEYFRAME_INTERVAL = 5
"""Frames from one keyframe to the next: the largest interval of the paper's tables."""


@dataclass(frozen=True)
class Segmentation:
    """What a step says about one frame.

    Attributes:
        labels: (H, W) uint8 class ids; read-only, since a frame on which nothing moved shows
            the same array again.
        confidence: (H, W) uint8, floor(255 * probability of the label); read-only.
        is_keyframe: whether the keyframe network ran.
        keyframe_age: frames since the keyframe that the labels come from; 0 on a keyframe.
        reason: why it is a keyframe ("first", "size", "cut", the policy's or the caller's),
            else "".
        change: mean absolute difference between the grid images of this frame and the one
            before, grey levels 0..255; 0 where there is none before.
        disagreement: estimated percent of pixels that a keyframe would label differently; 0
            where the weights carry no estimate.
        batch_size: streams that were propagated together, this one included.
        stage_ms: milliseconds per stage: "prepare", "network" (of the whole batch), "labels".
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    is_keyframe: bool
    keyframe_age: int
    reason: str
    change: float
    disagreement: float
    batch_size: int
    stage_ms: Mapping[str, float]


@dataclass(frozen=True)
class PreparedFrame:
    """A frame that `step_together` can label.

    Attributes:
        stream: the stream that it is the next frame of.
        image: (H, W, 3) uint8 RGB.
        on_grid: the same on the grid.
        previous: state that the frame before left; None where there is none to go on from.
        reason: why it is a keyframe without being propagated first, else "".
        prepare_ms: what it took to get here.
    """

    stream: VideoSegmenter
    image: NDArray[np.uint8]
    on_grid: GridImage
    previous: StreamState | None
    reason: str
    prepare_ms: float


class VideoSegmenter:
    """Labels the frames of one stream in order.

    Args:
        model: the weights; any number of streams can share them.
        keyframe_interval: frames from one keyframe to the next (the paper's l); 1 makes every
            frame a keyframe.
        policy: decides about keyframes in its place; of this stream alone.

    Attributes:
        policy: may be exchanged between two frames.

    Raises:
        ValueError: if the interval is not a positive integer.
    """

    def __init__(
        self,
        model: SegmentationModel,
        keyframe_interval: int = DEFAULT_KEYFRAME_INTERVAL,
        policy: KeyframePolicy | None = None,
    ) -> None:
        self.model = model
        self.policy = FixedPolicy(keyframe_interval) if policy is None else policy
        self._state: StreamState | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a past to propagate from."""
        return self._state is not None

    def reset(self) -> None:
        """Forget the past: the next frame is a keyframe."""
        self._state = None

    def step(self, image: NDArray[np.uint8], force_keyframe: str | None = None) -> Segmentation:
        """Label the next frame; as `prepare` followed by `step_together`."""
        ((_, segmentation),) = step_together([self.prepare(image, force_keyframe)])
        return segmentation

    def prepare(self, image: NDArray[np.uint8], force_keyframe: str | None = None) -> PreparedFrame:
        """Check the next frame and bring it to the grid; the stream itself stays as it is.

        Args:
            image: (H, W, 3) uint8 RGB. A change of size starts anew.
            force_keyframe: a reason that makes this frame a keyframe whatever the policy.

        Raises:
            ValueError: if the image is not (H, W, 3) uint8 or too small.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
        started = time.perf_counter()
        height, width = image.shape[:2]
        on_grid = self.model.grid_input(image)
        previous = self._state
        reason = force_keyframe or ""
        if previous is None or previous.size != (height, width):
            reason = reason or ("first" if previous is None else "size")
            previous = None
        elif not reason:
            reason = self.policy.due(previous.quality.age + 1)
        return PreparedFrame(
            self,
            image,
            on_grid,
            previous,
            reason,
            1e3 * (time.perf_counter() - started),
        )


def step_together(
    frames: Sequence[PreparedFrame],
) -> Iterator[tuple[PreparedFrame, Segmentation]]:
    """Label one frame each of several streams that share a model, and advance the streams.

    What a stream gets does not depend on the others: see `ExactBatches`.

    Args:
        frames: one per stream, prepared since its last step.

    Yields:
        Each frame with its labels as soon as they are there: the propagated frames, which are
        quick, before the keyframes.
    """
    keyframes = [(frame, frame.reason, 0.0) for frame in frames if frame.reason]
    for batch in _batches(frames):
        started = time.perf_counter()
        model = batch[0].stream.model
        previous = [frame.previous for frame in batch if frame.previous is not None]
        propagated = propagate_states(model, previous, [frame.on_grid for frame in batch])
        network_ms = _since(started, model)
        for frame, state in zip(batch, propagated, strict=True):
            quality = state.quality
            reason = "cut" if quality.is_cut else frame.stream.policy.judge(quality)
            if reason:  # too bad to be published
                keyframes.append((frame, reason, network_ms / len(batch)))
            else:
                yield frame, _go_on(frame, state, len(batch), network_ms)
    # One by one: several at once are rare, since streams are staggered, and the first would
    # wait for all of them.
    for frame, reason, spent_ms in keyframes:
        yield frame, _start_anew(frame, reason, spent_ms)


def _batches(frames: Sequence[PreparedFrame]) -> list[list[PreparedFrame]]:
    """Return the frames that are propagated, in groups of one model and size."""
    batches: dict[tuple[int, torch.Size], list[PreparedFrame]] = defaultdict(list)
    for frame in frames:
        if not frame.reason:
            batches[id(frame.stream.model), frame.on_grid.normalised.shape].append(frame)
    return list(batches.values())


def _since(started: float, model: SegmentationModel) -> float:
    """Return the milliseconds since a time on the steady clock, the device's work included."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)  # so that the stages' times mean something
    return 1e3 * (time.perf_counter() - started)


def _start_anew(frame: PreparedFrame, reason: str, spent_ms: float) -> Segmentation:
    """Label a keyframe; `spent_ms` went into propagating it first."""
    started = time.perf_counter()
    model, on_grid = frame.stream.model, frame.on_grid
    height, width = frame.image.shape[:2]
    published = model.segment(image_tensor(frame.image, model.device))
    logits = model.to_grid(published, on_grid.grey.shape[:2])
    network_ms = spent_ms + _since(started, model)
    labelled = time.perf_counter()
    labels, confidence = labels_and_confidence(
        published[0], height, width, model.info.temperature_at(0)
    )
    state = StreamState(
        (height, width),
        logits,
        on_grid.normalised,
        on_grid.grey,
        FrameQuality(),
        labels,
        confidence,
    )
    labels_ms = 1e3 * (time.perf_counter() - labelled)
    return _advance(frame, state, reason, 1, network_ms, labels_ms)


def _go_on(
    frame: PreparedFrame, propagated: PropagatedState, batch_size: int, network_ms: float
) -> Segmentation:
    """Label a propagated frame."""
    started = time.perf_counter()
    model, previous, quality = frame.stream.model, frame.previous, propagated.quality
    assert previous is not None
    if propagated.moved:
        labels, confidence = labels_and_confidence(
            propagated.logits[0], *previous.size, model.info.temperature_at(quality.age)
        )
    else:
        labels, confidence = previous.labels, previous.confidence
    state = StreamState(
        previous.size,
        propagated.logits,
        propagated.reference,
        frame.on_grid.grey,
        quality,
        labels,
        confidence,
    )
    labels_ms = 1e3 * (time.perf_counter() - started)
    return _advance(frame, state, "", batch_size, network_ms, labels_ms)


def _advance(
    frame: PreparedFrame,
    state: StreamState,
    reason: str,
    batch_size: int,
    network_ms: float,
    labels_ms: float,
) -> Segmentation:
    """Let the stream go on from `state`, and tell what became of the frame."""
    stream, previous = frame.stream, frame.previous
    for array in (state.labels, state.confidence):
        array.setflags(write=False)
    stream._state = state
    own_ms = frame.prepare_ms + network_ms / batch_size + labels_ms
    stream.policy.observe(bool(reason), own_ms)
    return Segmentation(
        state.labels,
        state.confidence,
        is_keyframe=bool(reason),
        keyframe_age=state.quality.age,
        reason=reason,
        change=0.0 if previous is None else _change(state.grey, previous.grey),
        disagreement=state.quality.disagreement,
        batch_size=batch_size,
        stage_ms={"prepare": frame.prepare_ms, "network": network_ms, "labels": labels_ms},
    )


def _change(
    current: NDArray[np.uint8] | NDArray[np.float32],
    previous: NDArray[np.uint8] | NDArray[np.float32],
) -> float:
    return float(cv2.norm(current, previous, cv2.NORM_L1)) / current.size
