# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Latency and accuracy at camera rate: blocking keyframes against asynchronous keyframes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.background_keyframe import KeyframeWorker
from gsvnet_model.stream.segmenter import Segmentation, VideoSegmenter

MODES = ("blocking", "background")


@dataclass(frozen=True)
class LatencyFigures:
    """Latency and accuracy of one keyframe mode.

    Attributes:
        propagated_ms: median time of a propagated frame, from its image to its labels.
        latency_ms: one time per frame, from the moment at which the camera has the frame to its
            labels.
        miou: mIoU in percent.
        keyframe_age: mean number of frames since the keyframe that the labels come from.
        keyframe_share: share of frames that went through the keyframe network.
    """

    propagated_ms: float
    latency_ms: tuple[float, ...]
    miou: float
    keyframe_age: float
    keyframe_share: float

    def latency_at(self, percentile: float) -> float:
        """Return a percentile (0 to 100) of the latency, ms."""
        return float(np.percentile(self.latency_ms, percentile))


def measure_latency(
    model: SegmentationModel,
    video: Sequence[LabelledImage],
    rate_hz: float,
    interval: int,
    repetitions: int,
) -> dict[str, LatencyFigures]:
    """Play a video to a stream at a camera's rate, the modes in turns.

    Args:
        model: the weights.
        video: pairs of an image (H, W, 3) uint8 RGB and labels (H, W) uint8, all of one size.
        rate_hz: frames per second of the camera.
        interval: frames from one keyframe to the next.
        repetitions: number of times the video is played to each mode.

    Returns:
        Figures by mode; the first interval of each stream is not counted.

    Raises:
        ValueError: if every frame is a keyframe, or the video is not longer than an interval.
    """
    if interval < 2:
        raise ValueError(
            f"expected an interval of 2 or more, got {interval}: at 1 all frames are keyframes"
        )
    if len(video) <= interval:
        raise ValueError(f"expected more than {interval} frames, one interval, got {len(video)}")
    frames = [video[index] for index in range(len(video))]
    worker = KeyframeWorker(model)
    runs = {mode: _Run(model.info.classes.num_classes) for mode in MODES}
    try:
        for repetition in range(repetitions + 1):
            for mode in MODES:
                segmenter = VideoSegmenter(
                    model, interval, background=worker if mode == "background" else None
                )
                if repetition == 0:  # kernels are loaded and memory is allocated
                    _play(segmenter, frames[: 2 * interval], rate_hz, interval, _Run(1))
                else:
                    _play(segmenter, frames, rate_hz, interval, runs[mode])
                segmenter.reset()
    finally:
        worker.close()
    return {mode: run.figures() for mode, run in runs.items()}


class _Run:
    """The frames of one mode. They are judged at the end, so that judging delays no frame."""

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._frames: list[tuple[float, float, Segmentation, NDArray[np.uint8]]] = []

    def add(
        self, own_ms: float, latency_ms: float, step: Segmentation, truth: NDArray[np.uint8]
    ) -> None:
        # A copy, because what comes from a GPU lies in page-locked memory.
        labels = step.labels.copy()
        kept = dataclasses.replace(step, labels=labels, confidence=labels[:0])
        self._frames.append((own_ms, latency_ms, kept, truth))

    def figures(self) -> LatencyFigures:
        matrix = ConfusionMatrix(self._num_classes)
        for _, _, step, truth in self._frames:
            matrix.update(step.labels, truth)
        steps = [step for _, _, step, _ in self._frames]
        propagated = [own for own, _, step, _ in self._frames if not step.is_keyframe]
        return LatencyFigures(
            float(np.median(propagated)) if propagated else float("nan"),
            tuple(latency for _, latency, _, _ in self._frames),
            matrix.miou(),
            float(np.mean([step.keyframe_age for step in steps])),
            float(np.mean([bool(step.reason) for step in steps])),
        )


def _play(
    segmenter: VideoSegmenter,
    frames: Sequence[LabelledImage],
    rate_hz: float,
    skipped: int,
    run: _Run,
) -> None:
    began = time.perf_counter()
    for index, frame in enumerate(frames):
        due = began + index / rate_hz
        time.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        step = segmenter.step(frame[0])
        done = time.perf_counter()
        if index >= skipped:
            run.add(1e3 * (done - started), 1e3 * (done - due), step, frame[1])
