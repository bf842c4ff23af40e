# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video streams: keyframes are segmented, the frames between them propagated.

See: paper Sec. 3 (framework overview).
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gsvnet_model.images.grid import GridImage
from gsvnet_model.model import SegmentationModel
from gsvnet_model.scheduling import FixedPolicy, FrameQuality, KeyframePolicy
from gsvnet_model.stream.background_keyframe import BackgroundKeyframe, KeyframeWorker
from gsvnet_model.stream.carry_over import DEFAULT_CARRY_OVER, MAX_CARRY_OVER
from gsvnet_model.stream.state import (
    PropagatedState,
    StreamState,
    advanced,
    keyframe_state,
    propagate_states,
    publish,
)

DEFAULT_KEYFRAME_INTERVAL = 5
"""Frames from one keyframe to the next: the largest interval of the paper's tables."""

MAX_FRAMES_BEHIND = 30
"""A keyframe beside the stream that has not caught up after as many frames, or two intervals if
that is more, is given up: on a machine with too much to do it might never, and labels grow old."""


@dataclass(frozen=True)
class Segmentation:
    """What a step says about one frame.

    Attributes:
        labels: (H, W) uint8 class ids; read-only, since a frame on which nothing moved shows
            the same array again.
        confidence: (H, W) uint8, floor(255 * probability of the label); read-only.
        is_keyframe: whether the keyframe network labelled this frame.
        keyframe_age: frames since the keyframe that the labels come from; 0 on a keyframe.
        reason: why it is a keyframe ("first", "size", "cut", "behind", the policy's or the
            caller's), or why the keyframe network began to label it beside the stream, else "".
        background: "running" while a keyframe is labelled beside the stream, "landed" when the
            labels come from such a one for the first time, else "".
        change: mean absolute difference between the grid images of this frame and the one
            before, grey levels 0..255; 0 where there is none before.
        disagreement: estimated percent of pixels that a keyframe would label differently; 0
            where the weights carry no estimate.
        batch_size: streams that were propagated together, this one included.
        stage_ms: milliseconds per stage: "prepare", "network" (of the whole batch), "labels";
            when one has landed, "background", what it took beside the stream. On a GPU nothing
            waits for it before the labels do, whose stage then holds the network's time too.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    is_keyframe: bool
    keyframe_age: int
    reason: str
    background: str
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
        reason: why it is to be a keyframe, as far as that is known before it is propagated.
        worker: where keyframes are labelled beside the stream; None where the stream waits.
        landed: the background keyframe that `previous` comes from, None if it is the stream's.
        prepare_ms: what it took to get here.
    """

    stream: VideoSegmenter
    image: NDArray[np.uint8]
    on_grid: GridImage
    previous: StreamState | None
    reason: str
    worker: KeyframeWorker | None
    landed: BackgroundKeyframe | None
    prepare_ms: float

    @property
    def is_keyframe(self) -> bool:
        """Whether it is a keyframe without being propagated first."""
        return self.previous is None or (bool(self.reason) and self.worker is None)


class VideoSegmenter:
    """Labels the frames of one stream in order.

    Args:
        model: the weights; any number of streams can share them.
        keyframe_interval: frames from one keyframe to the next (the paper's l); 1 makes every
            frame a keyframe.
        policy: decides about keyframes in its place; of this stream alone.
        background: labels keyframes beside the stream, which then never waits: the policy's
            keyframes, and the caller's where there are labels to go on from. None labels them in
            the stream, as do first frames, changes of size, and cuts, which leave no labels to go
            on from, and the one in place of a keyframe that has not caught up ("behind"; see
            `MAX_FRAMES_BEHIND`).
        carry_over: share, 0 to 0.9, of a keyframe's logits that comes from the frames before, so
            that labels flicker less; 0 leaves the keyframe network's own, as in the paper. Where
            every frame is a keyframe, as at interval 1, nothing is carried along, and where the
            image does not match, nothing is taken.

    Attributes:
        policy: may be exchanged between two frames.
        background: likewise.
        carry_over: likewise.

    Raises:
        ValueError: if the interval is not a positive integer, or the share out of range.
    """

    def __init__(
        self,
        model: SegmentationModel,
        keyframe_interval: int = DEFAULT_KEYFRAME_INTERVAL,
        policy: KeyframePolicy | None = None,
        background: KeyframeWorker | None = None,
        carry_over: float = DEFAULT_CARRY_OVER,
    ) -> None:
        if not 0 <= carry_over <= MAX_CARRY_OVER:
            raise ValueError(f"expected carry_over of 0 to {MAX_CARRY_OVER}, got {carry_over}")
        self.model = model
        self.policy = FixedPolicy(keyframe_interval) if policy is None else policy
        self.background = background
        self.carry_over = carry_over
        self._state: StreamState | None = None
        self._running: BackgroundKeyframe | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a past to propagate from."""
        return self._state is not None

    def reset(self) -> None:
        """Forget the past: the next frame is a keyframe."""
        self._state = None
        self._expect(None)

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
            RuntimeError: if the networks failed beside the stream; `reset` starts anew.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
        started = time.perf_counter()
        if min(image.strides) < 0:  # a flip or BGR[..., ::-1], which torch cannot read in place
            image = np.ascontiguousarray(image)
        height, width = image.shape[:2]
        on_grid = self.model.grid_input(image)
        previous = self._state
        worker = self.background
        running = self._running if worker else None
        landed = None
        reason = force_keyframe or ""
        if previous is None or previous.size != (height, width):
            reason = reason or ("first" if previous is None else "size")
            previous = None
        else:
            caught_up = running.landed() if running else None
            if caught_up is not None:
                previous, landed = caught_up, running
            elif running and running.num_followed >= _most_behind(self.policy):
                reason, worker = "behind", None
            if not reason and running is landed:  # not while another one is on its way
                reason = self.policy.due(previous.quality.age + 1)
        return PreparedFrame(
            self,
            image,
            on_grid,
            previous,
            reason,
            worker,
            landed,
            1e3 * (time.perf_counter() - started),
        )

    def _follow(self, frame: PreparedFrame) -> None:
        """Tell a keyframe beside the stream that the stream goes on to this frame."""
        if self._running is None:
            return
        if frame.worker is None or frame.landed is not None:
            self._expect(None)
        else:
            self._running.follow(frame.on_grid)

    def _expect(self, keyframe: BackgroundKeyframe | None) -> None:
        """Put a keyframe beside the stream in the place of the one before, if any."""
        if self._running is not None:
            self._running.cancel()
        self._running = keyframe


def _most_behind(policy: KeyframePolicy) -> int:
    """Return after how many frames a keyframe beside the stream has to have caught up."""
    interval = policy.interval if isinstance(policy, FixedPolicy) else 0
    return max(MAX_FRAMES_BEHIND, 2 * interval)


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
    keyframes: list[tuple[PreparedFrame, str, PropagatedState | None, float]] = [
        (frame, frame.reason, None, 0.0) for frame in frames if frame.is_keyframe
    ]
    for batch in _batches(frames):
        for frame in batch:
            frame.stream._follow(frame)
        started = time.perf_counter()
        model = batch[0].stream.model
        previous = [frame.previous for frame in batch if frame.previous is not None]
        propagated = propagate_states(model, previous, [frame.on_grid for frame in batch])
        network_ms = _since(started)
        for frame, state in zip(batch, propagated, strict=True):
            stream, quality, reason = frame.stream, state.quality, frame.reason
            if not reason and stream._running is None:
                reason = stream.policy.judge(quality)
            if quality.is_cut or (reason and frame.worker is None):  # too bad to be published
                reason = "cut" if quality.is_cut else reason
                keyframes.append((frame, reason, state, network_ms / len(batch)))
            else:
                yield frame, _go_on(frame, state, reason, len(batch), network_ms)
    # One by one: several at once are rare, since streams are staggered, and the first would
    # wait for all of them.
    for frame, reason, rejected, spent_ms in keyframes:
        yield frame, _start_anew(frame, reason, rejected, spent_ms)


def _batches(frames: Sequence[PreparedFrame]) -> list[list[PreparedFrame]]:
    """Return the frames that are propagated, in groups of one model and size."""
    batches: dict[tuple[int, torch.Size], list[PreparedFrame]] = defaultdict(list)
    for frame in frames:
        if not frame.is_keyframe:
            batches[id(frame.stream.model), frame.on_grid.normalised.shape].append(frame)
    return list(batches.values())


def _since(started: float) -> float:
    """Return the milliseconds since a time on the steady clock."""
    return 1e3 * (time.perf_counter() - started)


def _start_anew(
    frame: PreparedFrame, reason: str, propagated: PropagatedState | None, spent_ms: float
) -> Segmentation:
    """Label a keyframe; `spent_ms` went into propagating it first, if it was."""
    started = time.perf_counter()
    stream = frame.stream
    logits, state = keyframe_state(
        stream.model, frame.image, frame.on_grid, propagated or frame.previous, stream.carry_over
    )
    network_ms = spent_ms + _since(started)
    labelled = time.perf_counter()
    published = publish(stream.model, logits, state.size, state.quality)
    stream._expect(None)
    stream._state = dataclasses.replace(state, published=published)
    labels_ms = _since(labelled)
    return _told(frame, published, state.quality, reason, 1, network_ms, labels_ms)


def _go_on(
    frame: PreparedFrame,
    propagated: PropagatedState,
    reason: str,
    batch_size: int,
    network_ms: float,
) -> Segmentation:
    """Label a propagated frame, and begin a keyframe beside the stream if there is a reason."""
    started = time.perf_counter()
    stream, previous, quality = frame.stream, frame.previous, propagated.quality
    assert previous is not None
    state = advanced(previous, propagated, frame.on_grid)
    published = state.published or publish(stream.model, state.logits, state.size, quality)
    stream._state = dataclasses.replace(state, published=published)
    if reason:
        assert frame.worker is not None
        stream._expect(
            frame.worker.start(frame.image, frame.on_grid, propagated, stream.carry_over)
        )
    labels_ms = _since(started)
    return _told(frame, published, quality, reason, batch_size, network_ms, labels_ms)


def _told(
    frame: PreparedFrame,
    published: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    quality: FrameQuality,
    reason: str,
    batch_size: int,
    network_ms: float,
    labels_ms: float,
) -> Segmentation:
    """Tell policy and caller what became of a frame."""
    stream, previous, landed = frame.stream, frame.previous, frame.landed
    is_keyframe = quality.age == 0
    stage_ms = {"prepare": frame.prepare_ms, "network": network_ms, "labels": labels_ms}
    own_ms = frame.prepare_ms + network_ms / batch_size + labels_ms
    background = "running" if stream._running else ""
    if landed is not None and not is_keyframe:
        background = "landed"
        stage_ms["background"] = landed.milliseconds
        own_ms += landed.milliseconds
    stream.policy.observe(is_keyframe or background == "landed", own_ms)
    return Segmentation(
        *published,
        is_keyframe=is_keyframe,
        keyframe_age=quality.age,
        reason=reason,
        background=background,
        change=0.0 if previous is None else _change(frame.on_grid.pixels, previous.pixels),
        disagreement=quality.disagreement,
        batch_size=batch_size,
        stage_ms=stage_ms,
    )


def _change(
    current: NDArray[np.uint8] | NDArray[np.float32],
    previous: NDArray[np.uint8] | NDArray[np.float32],
) -> float:
    return float(cv2.norm(current, previous, cv2.NORM_L1)) / current.size
