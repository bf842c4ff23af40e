# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video streams: keyframes are segmented, the frames between them propagated.

See: paper Sec. 3 (framework overview).
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.images.check_image import checked_image
from gsvnet_model.images.grid import GridImage
from gsvnet_model.model import SegmentationModel
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.scheduling.quality import FrameQuality
from gsvnet_model.stream.background_keyframe import BackgroundKeyframe, KeyframeWorker
from gsvnet_model.stream.state import (
    DEFAULT_TEMPORAL_BLENDING,
    MAX_TEMPORAL_BLENDING,
    Decoded,
    PropagatedState,
    StreamState,
    decode_labels,
    keyframe_state,
    propagate_states,
)

DEFAULT_KEYFRAME_INTERVAL = 5
"""Frames from one keyframe to the next: the largest interval of the paper's tables."""

MAX_FRAMES_BEHIND = 30
"""A background keyframe that has not caught up after as many frames, or after two intervals if
that is more, is given up: on an overloaded machine it might never, and labels grow old."""


@dataclass(frozen=True)
class Segmentation:
    """What a step says about one frame.

    Attributes:
        labels: (H, W) uint8 class ids; read-only, since a frame on which nothing moved shows
            the same array again.
        confidence: (H, W) uint8, floor(255 * probability of the label); read-only.
        is_keyframe: whether the keyframe network labelled this frame.
        keyframe_age: frames since the keyframe that the labels come from; 0 on a keyframe.
        reason: why the frame is a keyframe ("first", "size", "cut", "timed_out", the policy's or
            the caller's reason), or why a background keyframe of it began, else "".
        background: "running" while a background keyframe is under way, "merged" when the labels
            come from one for the first time, else "".
        change: mean absolute difference between the grid images of this frame and the one
            before, 0..255; 0 where there is none before.
        disagreement: estimated percent of pixels that a keyframe would label differently; 0
            where the weights carry no estimate.
        batch_size: streams that were propagated together, this one included.
        stage_ms: milliseconds per stage: "prepare", "network" (this stream's share of the batch),
            "labels"; when a background keyframe was merged also "background", the time it took
            in its thread. On a GPU nothing waits for the network before the labels do, so that
            stage "labels" then holds the network's time too.
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
class StepOptions:
    """How one frame is labelled.

    Attributes:
        policy: decides which frames are keyframes; serves this stream alone.
        background: labels keyframes in a thread of its own, for which the stream never waits: the
            policy's keyframes, and the caller's where there are labels to go on from. None labels
            them in the stream. First frames, changes of size and cuts are labelled in the stream
            in any case, since they leave no labels to go on from, and so is the frame in place of
            a background keyframe that timed out; see `MAX_FRAMES_BEHIND`.
        temporal_blending: share, 0 to 0.9, of a keyframe's logits that comes from the frames
            before, so that labels flicker less; 0 leaves the keyframe network's own logits, as in
            the paper. Where every frame is a keyframe, as at interval 1, or the image does not
            match, nothing is blended.
        force_keyframe: a reason that makes this frame a keyframe whatever the policy, else "".

    Raises:
        ValueError: if the share is out of range.
    """

    policy: KeyframePolicy
    background: KeyframeWorker | None = None
    temporal_blending: float = DEFAULT_TEMPORAL_BLENDING
    force_keyframe: str = ""

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 <= self.temporal_blending <= MAX_TEMPORAL_BLENDING:
            raise ValueError(
                f"expected a temporal blending of 0 to {MAX_TEMPORAL_BLENDING}, "
                f"got {self.temporal_blending}"
            )


@dataclass(frozen=True)
class _Frame:
    """One frame on its way through `VideoSegmenter.step`.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        on_grid: the image on the grid.
        options: how the frame is labelled.
        previous: state that the frame before left; None where there is none to go on from.
        merged: the background keyframe that `previous` comes from, None if it is the stream's own.
        following: the background keyframe that goes on to this frame, None if there is none.
        reason: why the frame is to be a keyframe, else "".
        waits: whether the stream waits for that keyframe.
        propagated: `previous` brought to this frame; None while it has not been.
        batch_size: streams that were propagated together.
        stage_ms: milliseconds per stage so far.
    """

    image: NDArray[np.uint8]
    on_grid: GridImage
    options: StepOptions
    previous: StreamState | None
    merged: BackgroundKeyframe | None
    following: BackgroundKeyframe | None
    reason: str
    waits: bool
    propagated: PropagatedState | None
    batch_size: int
    stage_ms: Mapping[str, float]

    @property
    def is_keyframe(self) -> bool:
        """Whether the keyframe network has to label the frame now."""
        return self.waits and bool(self.reason)

    def after(self, stage: str, started: float, streams: int = 1, **changes: object) -> _Frame:
        """Return the frame after a stage that some streams shared, with other changes."""
        spent_ms = self.stage_ms.get(stage, 0.0) + 1e3 * (time.perf_counter() - started) / streams
        stages = {**self.stage_ms, stage: spent_ms}
        return dataclasses.replace(self, stage_ms=stages, **changes)  # type: ignore[arg-type]


class VideoSegmenter:
    """Labels the frames of one stream in order.

    Args:
        model: the weights; any number of streams can share them.
        keyframe_interval: frames from one keyframe to the next (the paper's l); 1 makes every
            frame a keyframe.
        policy: decides about keyframes in place of the interval; see `StepOptions`, as for the
            next two.
        background: labels keyframes in a thread of its own.
        temporal_blending: share of a keyframe's logits that comes from the frames before.

    Attributes:
        options: how frames are labelled for which `step` is given no options of their own; may be
            exchanged between two frames.

    Raises:
        ValueError: if the interval is not a positive whole number, or the share out of range.
    """

    def __init__(
        self,
        model: SegmentationModel,
        keyframe_interval: int = DEFAULT_KEYFRAME_INTERVAL,
        policy: KeyframePolicy | None = None,
        background: KeyframeWorker | None = None,
        temporal_blending: float = DEFAULT_TEMPORAL_BLENDING,
    ) -> None:
        self.model = model
        policy = FixedPolicy(keyframe_interval) if policy is None else policy
        self.options = StepOptions(policy, background, temporal_blending)
        self._state: StreamState | None = None
        self._running: BackgroundKeyframe | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a past to propagate from."""
        return self._state is not None

    @property
    def has_caught_up(self) -> bool:
        """Whether a background keyframe is done and will be merged with the next frame."""
        return self._running is not None and self._running.caught_up() is not None

    def reset(self) -> None:
        """Forget the past: the next frame is a keyframe."""
        self._replace(None, None)

    def step(
        self,
        image: NDArray[np.uint8],
        options: StepOptions | None = None,
        force_keyframe: str = "",
    ) -> Segmentation:
        """Label the next frame.

        Args:
            image: (H, W, 3) uint8 RGB. A change of size starts anew.
            options: how to label this frame; None takes the stream's.
            force_keyframe: a reason that makes this frame a keyframe whatever the policy.

        Raises:
            ValueError: if the image is not (H, W, 3) uint8 or too small; the stream stays as it is.
            RuntimeError: if a network failed; the next frame starts anew.
        """
        options = options or self.options
        if force_keyframe:
            options = dataclasses.replace(options, force_keyframe=force_keyframe)
        frame = self._prepare(image, options)
        try:
            if not frame.is_keyframe:
                (frame,) = _propagate(self.model, [frame])
                frame = _judge(frame)
            return self._segment(frame) if frame.is_keyframe else self._carry(frame)
        except BaseException:
            self.reset()
            raise

    def _prepare(self, image: NDArray[np.uint8], options: StepOptions) -> _Frame:
        """Check a frame, bring it to the grid, and ask whether it is due to be a keyframe."""
        started = time.perf_counter()
        image = checked_image(image)
        on_grid = self.model.grid_input(image)
        previous, running = self._state, self._running if options.background else None
        merged, reason, waits = None, options.force_keyframe, options.background is None
        if previous is None or previous.size != image.shape[:2]:
            reason = reason or ("first" if previous is None else "size")
            previous, running, waits = None, None, True
        elif running is not None:
            caught_up = self._state_of(running)
            if caught_up is not None:
                previous, merged, running = caught_up, running, None
            elif running.num_followed >= _most_behind(options.policy):
                reason, waits, running = "timed_out", True, None
        if not reason and previous is not None and running is None:
            reason = options.policy.due(previous.quality.age + 1)
        frame = _Frame(
            image, on_grid, options, previous, merged, running, reason, waits, None, 1, {}
        )
        return frame.after("prepare", started)

    def _state_of(self, running: BackgroundKeyframe) -> StreamState | None:
        """Return the state of a background keyframe that has caught up; start anew if it failed."""
        try:
            return running.caught_up()
        except RuntimeError:
            self.reset()
            raise

    def _segment(self, frame: _Frame) -> Segmentation:
        """Run the keyframe network on a frame."""
        started = time.perf_counter()
        before = frame.propagated or frame.previous
        logits, state = keyframe_state(
            self.model, frame.image, frame.on_grid, before, frame.options.temporal_blending
        )
        return self._commit(frame.after("network", started, batch_size=1), state, logits)

    def _carry(self, frame: _Frame) -> Segmentation:
        """Take what was propagated for the state of a frame."""
        assert frame.previous is not None and frame.propagated is not None
        state = frame.previous.followed_by(frame.propagated, frame.on_grid)
        return self._commit(frame, state, state.logits)

    def _commit(self, frame: _Frame, state: StreamState, logits: Tensor) -> Segmentation:
        """Decode the labels, advance the stream, and say what became of the frame."""
        started, options, is_keyframe = time.perf_counter(), frame.options, frame.is_keyframe
        decoded = state.decoded or decode_labels(self.model, logits, state.size, state.quality)
        running = None if is_keyframe else frame.following
        if frame.reason and not is_keyframe:
            assert options.background is not None and frame.propagated is not None
            running = options.background.start(
                frame.image, frame.on_grid, frame.propagated, options.temporal_blending
            )
        state = dataclasses.replace(state, decoded=decoded)
        self._replace(state, running)
        frame = frame.after("labels", started)
        return _report(frame, state.quality, decoded, running is not None)

    def _replace(self, state: StreamState | None, running: BackgroundKeyframe | None) -> None:
        """Put the stream into a state: the only place that does."""
        if self._running is not None and self._running is not running:
            self._running.cancel()
        self._state, self._running = state, running

    @staticmethod
    def step_batch(
        requests: Sequence[tuple[VideoSegmenter, NDArray[np.uint8], StepOptions]],
    ) -> list[Segmentation | ValueError]:
        """Label one frame each of several streams that share a model, propagating them together.

        For a GPU, where a batch costs little more than one frame. What a stream gets may differ
        in rounding from what `step` gives it.

        Args:
            requests: for each stream its next image and how to label it.

        Returns:
            For each request its labels, or the error that `step` raises for a bad image.

        Raises:
            RuntimeError: if a network failed; all streams start anew.
        """
        done: dict[int, Segmentation | ValueError] = {}
        frames: dict[int, _Frame] = {}
        for index, (each, image, options) in enumerate(requests):
            try:
                frames[index] = each._prepare(image, options)
            except ValueError as error:
                done[index] = error
        try:
            for group in _propagated_together(frames):
                model = requests[group[0]][0].model
                propagated = _propagate(model, [frames[index] for index in group])
                frames.update(zip(group, map(_judge, propagated), strict=True))
            # Keyframes last, and one by one: several at once are rare.
            for index in sorted(frames, key=lambda index: frames[index].is_keyframe):
                each, frame = requests[index][0], frames[index]
                done[index] = each._segment(frame) if frame.is_keyframe else each._carry(frame)
        except BaseException:
            for each, _, _ in requests:
                each.reset()
            raise
        return [done[index] for index in range(len(requests))]


def _most_behind(policy: KeyframePolicy) -> int:
    """Return after how many frames a background keyframe has to have caught up."""
    interval = policy.interval if isinstance(policy, FixedPolicy) else 0
    return max(MAX_FRAMES_BEHIND, 2 * interval)


def _propagated_together(frames: Mapping[int, _Frame]) -> list[list[int]]:
    """Return the numbers of the frames to propagate, in groups of one grid size."""
    groups: dict[torch.Size, list[int]] = defaultdict(list)
    for index, frame in frames.items():
        if not frame.is_keyframe:
            groups[frame.on_grid.normalised.shape].append(index)
    return list(groups.values())


def _propagate(model: SegmentationModel, frames: Sequence[_Frame]) -> list[_Frame]:
    """Propagate the streams' states to their frames, all of one grid size."""
    started = time.perf_counter()
    for frame in frames:
        if frame.following is not None:  # first of all, so that it keeps up with the stream
            frame.following.follow(frame.on_grid)
    states = [frame.previous for frame in frames if frame.previous is not None]
    propagated = propagate_states(model, states, [frame.on_grid for frame in frames])
    return [
        frame.after("network", started, len(frames), propagated=state, batch_size=len(frames))
        for frame, state in zip(frames, propagated, strict=True)
    ]


def _judge(frame: _Frame) -> _Frame:
    """Say whether a propagated frame is too bad to be shown."""
    assert frame.propagated is not None
    quality, reason = frame.propagated.quality, frame.reason
    if not reason and frame.following is None:
        reason = frame.options.policy.judge(quality)
    if quality.is_cut:  # there are no labels to go on from
        return dataclasses.replace(frame, reason="cut", waits=True)
    return dataclasses.replace(frame, reason=reason)


def _report(
    frame: _Frame, quality: FrameQuality, decoded: Decoded, is_running: bool
) -> Segmentation:
    """Tell the policy what a frame cost, and return what the caller is told."""
    stage_ms = dict(frame.stage_ms)
    own_ms = sum(stage_ms.values())
    background = "running" if is_running else ""
    merged = None if frame.is_keyframe else frame.merged
    if merged is not None:
        background = "merged"
        stage_ms["background"] = merged.milliseconds
        own_ms += merged.milliseconds
    frame.options.policy.observe(frame.is_keyframe or merged is not None, own_ms)
    change = 0.0
    if frame.previous is not None:
        difference = cv2.norm(frame.on_grid.pixels, frame.previous.pixels, cv2.NORM_L1)
        change = float(difference) / frame.on_grid.pixels.size
    return Segmentation(
        decoded.labels,
        decoded.confidence,
        is_keyframe=frame.is_keyframe,
        keyframe_age=quality.age,
        reason=frame.reason,
        background=background,
        change=change,
        disagreement=quality.disagreement,
        batch_size=frame.batch_size,
        stage_ms=stage_ms,
    )
