# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frame times where images and labels stay on the device and no frame waits for the one before."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_lab.benchmark.timing import Spread
from gsvnet_lab.data.on_grid import image_on_grid
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.changed_cells import changed_cells
from gsvnet_model.ops.cuda.graphs import CudaGraphs, ReplayedFunction
from gsvnet_model.ops.labels import labels_on_device
from gsvnet_model.stream.advance import advance_cells

_Frame: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""From the image, and the state and the image on the grid before it, to labels and the same."""

_WARM_UPS = 2
"""Keyframe intervals before the first that counts: recordings, choices of algorithms, memory."""


@dataclass(frozen=True)
class DeviceFigures:
    """From uint8 image to uint8 labels and confidence, both on the device.

    Attributes:
        frames: by kind, "keyframe" and "propagated", of intervals above 1: time from the end of
            the frame before to the end of this one.
        frames_per_s: by keyframe interval; 1 is per-frame segmentation, which keeps no state.
    """

    frames: dict[str, Spread]
    frames_per_s: dict[int, float]


class DeviceStream:
    """Labels the frames of one stream as `VideoSegmenter` does, without a word to the host.

    The host decides nothing on the way: keyframes come at a fixed interval, scene cuts are not
    looked for, frames in which nothing moved are computed like all others, keyframes are not
    blended, and confidences do not depend on the estimated quality. So a GPU can replay whole
    frames, from image to labels.

    Args:
        model: the weights.
        keyframe_interval: frames from one keyframe to the next; with 1 no state is kept.
    """

    def __init__(self, model: SegmentationModel, keyframe_interval: int) -> None:
        self._model = model
        self._interval = keyframe_interval
        self._age = -1
        self._kept: tuple[Tensor, ...] = ()
        self._frames: dict[tuple[_Frame, float], _Frame] = {}

    @torch.inference_mode()
    def step(self, image: Tensor) -> Tensor:
        """Label the next frame.

        Args:
            image: (1, 3, H, W) uint8 RGB on the model's device, all of one size.

        Returns:
            (2, H, W) uint8 on the device: labels, then confidence.
        """
        self._age = (self._age + 1) % self._interval
        frame = _only_frame if self._interval == 1 else _propagated if self._age else _keyframe
        inputs = (image, *self._kept) if self._age else (image,)
        labels, *kept = self._recorded(frame)(*inputs)
        self._kept = tuple(kept)
        return labels

    def _recorded(self, frame: _Frame) -> _Frame:
        temperature = self._model.info.temperature_at(self._age)
        key = frame, temperature
        if key not in self._frames:
            function: _Frame = functools.partial(frame, self._model, temperature)
            if self._model.device.type == "cuda":
                function = ReplayedFunction(function, CudaGraphs(self._model.device))
            self._frames[key] = function
        return self._frames[key]


def _only_frame(model: SegmentationModel, temperature: float, image: Tensor) -> tuple[Tensor]:
    """Return the labels of an image that no other one follows."""
    return (_labelled(model.plain_segment(image), image, temperature),)


def _keyframe(
    model: SegmentationModel, temperature: float, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the labels, the state and the image on the grid."""
    published, current = model.plain_segment(image), _on_grid(model, image)
    labels = _labelled(published, image, temperature)
    return labels, model.to_grid(published, (current.shape[2], current.shape[3])), current


def _propagated(
    model: SegmentationModel, temperature: float, image: Tensor, state: Tensor, reference: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same, from the state and the image on the grid of the frame before."""
    current = _on_grid(model, image)
    moving = changed_cells(current, reference)
    (new, kept, _), _ = advance_cells(model.plain_propagate, state, reference, current, moving)
    return _labelled(new, image, temperature), new, kept


def _on_grid(model: SegmentationModel, image: Tensor) -> Tensor:
    info = model.info
    stride = info.grid_stride_of(image.shape[2], image.shape[3])
    grid = image_on_grid(image, stride, info.grid_filter)
    return info.normalisation.apply(grid)


def _labelled(logits: Tensor, image: Tensor, temperature: float) -> Tensor:
    return labels_on_device(logits[0], image.shape[2], image.shape[3], temperature)


def time_device_resident(
    model: SegmentationModel,
    images: Sequence[NDArray[np.uint8]],
    intervals: Sequence[int],
    repetitions: int,
) -> DeviceFigures:
    """Time streams whose images lie on the device.

    Args:
        model: the weights.
        images: consecutive (H, W, 3) uint8 RGB frames, as many as the largest interval at least.
        intervals: keyframe intervals to step through whole; 1, per-frame segmentation, is added.
        repetitions: keyframe intervals of each; two more go first and do not count.
    """
    on_device = [image_tensor(image, model.device) for image in images]
    frames: defaultdict[str, list[float]] = defaultdict(list)
    frames_per_s: dict[int, float] = {}
    for interval in sorted({1, *intervals}):
        stream = DeviceStream(model, interval)
        for image in _WARM_UPS * on_device[:interval]:
            stream.step(image)
        times = _times(stream, repetitions * on_device[:interval], model.device)
        if interval > 1:
            for index, milliseconds in enumerate(times):
                frames["propagated" if index % interval else "keyframe"].append(milliseconds)
        frames_per_s[interval] = 1e3 * len(times) / sum(times)
    return DeviceFigures({kind: Spread.of(ms) for kind, ms in frames.items()}, frames_per_s)


def _times(stream: DeviceStream, images: Sequence[Tensor], device: torch.device) -> list[float]:
    """Return the milliseconds of every frame, on the clock of the device that does the work."""
    if device.type != "cuda":
        moments = [time.perf_counter()]
        for image in images:
            stream.step(image)
            moments.append(time.perf_counter())
        return [1e3 * (end - start) for start, end in pairwise(moments)]
    queue = torch.cuda.current_stream(device)
    queue.synchronize()
    marks = [queue.record_event(torch.cuda.Event(enable_timing=True))]  # type: ignore[no-untyped-call]
    for image in images:
        stream.step(image)
        marks.append(queue.record_event(torch.cuda.Event(enable_timing=True)))  # type: ignore[no-untyped-call]
    queue.synchronize()
    return [start.elapsed_time(end) for start, end in pairwise(marks)]
