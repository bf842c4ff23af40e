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
from torch import Tensor

from gsvnet_model.labels import labels_and_confidence
from gsvnet_model.model import SegmentationModel
from gsvnet_model.preprocessing import grid_image, grid_size, image_tensor

DEFAULT_KEYFRAME_INTERVAL = 5
"""Frames from one keyframe to the next: the largest interval of the paper's tables."""


@dataclass(frozen=True)
class Segmentation:
    """What a step says about one frame.

    Attributes:
        labels: (H, W) uint8 class ids.
        confidence: (H, W) uint8, floor(255 * probability of the label).
        is_keyframe: whether the keyframe network ran.
        keyframe_age: frames since the keyframe that the labels come from; 0 on a keyframe.
        reason: why it is a keyframe ("first", "size", "interval" or the caller's), else "".
        change: mean absolute difference between the grid images of this frame and the one
            before, grey levels 0..255; 0 where there is none before.
        batch_size: streams that were propagated together, this one included.
        stage_ms: milliseconds per stage: "prepare", "network" (of the whole batch), "labels".
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    is_keyframe: bool
    keyframe_age: int
    reason: str
    change: float
    batch_size: int
    stage_ms: Mapping[str, float]


@dataclass(frozen=True)
class _GridImage:
    """An image on the grid.

    Attributes:
        grey: (h, w, 3) RGB grey levels.
        normalised: (1, 3, h, w) float32 on the model's device.
    """

    grey: NDArray[np.uint8] | NDArray[np.float32]
    normalised: Tensor


@dataclass(frozen=True)
class _State:
    """What one frame leaves to the next; of constant size.

    Attributes:
        size: (H, W) of the images.
        logits: (1, K, h, w) on the grid, float32.
        image: of the frame.
        age: frames since the keyframe.
    """

    size: tuple[int, int]
    logits: Tensor
    image: _GridImage
    age: int


@dataclass(frozen=True)
class PreparedFrame:
    """A frame that `step_together` can label.

    Attributes:
        stream: the stream that it is the next frame of.
        image: (H, W, 3) uint8 RGB.
        on_grid: the same on the grid.
        previous: state that the frame before left; None where there is none to go on from.
        reason: why it is a keyframe, else "".
        prepare_ms: what it took to get here.
    """

    stream: VideoSegmenter
    image: NDArray[np.uint8]
    on_grid: _GridImage
    previous: _State | None
    reason: str
    prepare_ms: float


class VideoSegmenter:
    """Labels the frames of one stream in order.

    Args:
        model: the weights; any number of streams can share them.
        keyframe_interval: frames from one keyframe to the next (the paper's l); 1 makes every
            frame a keyframe.

    Raises:
        ValueError: if the interval is not a positive integer.
    """

    def __init__(
        self, model: SegmentationModel, keyframe_interval: int = DEFAULT_KEYFRAME_INTERVAL
    ) -> None:
        self.model = model
        self.keyframe_interval = keyframe_interval
        self._state: _State | None = None

    @property
    def keyframe_interval(self) -> int:
        """Frames from one keyframe to the next; a change counts from the next frame on."""
        return self._keyframe_interval

    @keyframe_interval.setter
    def keyframe_interval(self, interval: int) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise ValueError(f"expected a keyframe interval of 1 or more, got {interval!r}")
        self._keyframe_interval = interval

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
            force_keyframe: a reason that makes this frame a keyframe whatever the interval.

        Raises:
            ValueError: if the image is not (H, W, 3) uint8 or too small.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
        started = time.perf_counter()
        info = self.model.info
        height, width = image.shape[:2]
        grey = grid_image(image, grid_size(height, width, info.grid_stride), info.grid_filter)
        normalised = info.normalisation.apply(image_tensor(grey, self.model.device))
        previous = self._state
        reason = force_keyframe or ""
        if previous is None or previous.size != (height, width):
            reason = reason or ("first" if previous is None else "size")
            previous = None
        elif not reason and previous.age + 1 >= self.keyframe_interval:
            reason = "interval"
        return PreparedFrame(
            self,
            image,
            _GridImage(grey, normalised),
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
    for batch in _batches(frames):
        started = time.perf_counter()
        logits = _published_logits(batch)
        network_ms = 1e3 * (time.perf_counter() - started)
        for frame, published in zip(batch, logits, strict=True):
            yield frame, _advance(frame, published, len(batch), network_ms)


def _batches(frames: Sequence[PreparedFrame]) -> list[list[PreparedFrame]]:
    """Return what goes through a network together, the quick propagations first.

    Keyframes go one by one: several at once are rare, since streams are staggered, and the
    others would wait for all of them.
    """
    propagated: dict[tuple[int, torch.Size], list[PreparedFrame]] = defaultdict(list)
    keyframes = []
    for frame in frames:
        if frame.reason:
            keyframes.append([frame])
        else:
            shape = frame.on_grid.normalised.shape
            propagated[id(frame.stream.model), shape].append(frame)
    return [*propagated.values(), *keyframes]


def _published_logits(batch: Sequence[PreparedFrame]) -> list[Tensor]:
    """Return the (1, K, ., .) logits of a keyframe or of several propagated frames."""
    model = batch[0].stream.model
    if batch[0].reason:
        logits = [model.segment(image_tensor(frame.image, model.device)) for frame in batch]
    else:
        previous = [frame.previous for frame in batch if frame.previous is not None]
        outputs = model.propagate_streams(
            [state.logits for state in previous],
            [frame.on_grid.normalised for frame in batch],
            [state.image.normalised for state in previous],
        )
        logits = [output.logits for output in outputs]
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)  # so that the stages' times mean something
    return logits


def _advance(
    frame: PreparedFrame, published: Tensor, batch_size: int, network_ms: float
) -> Segmentation:
    """Label a frame with its logits, and let its stream go on from them."""
    started = time.perf_counter()
    stream, previous = frame.stream, frame.previous
    height, width = frame.image.shape[:2]
    state, age = published, 0
    if frame.reason:
        state = stream.model.to_grid(published, frame.on_grid.grey.shape[:2])
    elif previous is not None:
        age = previous.age + 1
    temperature = stream.model.info.temperature_at(age)
    labels, confidence = labels_and_confidence(published[0], height, width, temperature)
    stream._state = _State((height, width), state, frame.on_grid, age)
    return Segmentation(
        labels,
        confidence,
        is_keyframe=bool(frame.reason),
        keyframe_age=age,
        reason=frame.reason,
        change=0.0 if previous is None else _change(frame.on_grid.grey, previous.image.grey),
        batch_size=batch_size,
        stage_ms={
            "prepare": frame.prepare_ms,
            "network": network_ms,
            "labels": 1e3 * (time.perf_counter() - started),
        },
    )


def _change(
    current: NDArray[np.uint8] | NDArray[np.float32],
    previous: NDArray[np.uint8] | NDArray[np.float32],
) -> float:
    return float(cv2.norm(current, previous, cv2.NORM_L1)) / current.size
