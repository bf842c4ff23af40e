# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Accuracy and throughput of propagation and of per-frame segmentation, from one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gsvnet_lab.benchmark.timing import Clock, clock_of
from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_lab.evaluation.distances import evaluate_distances
from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.segmenter import VideoSegmenter

_PER_FRAME_IMAGES = 2


@dataclass(frozen=True)
class Contestant:
    """One way to label a stream.

    Attributes:
        weights: name of the weights.
        scale: keyframe input pixels per image pixel.
        interval: keyframe interval; 1 is per-frame segmentation.
    """

    weights: str
    scale: float
    interval: int


@dataclass(frozen=True)
class TradeoffPoint:
    """The figures of a contestant.

    Attributes:
        contestant: the way to label a stream that was measured.
        miou: mIoU averaged over the interval, percent (the paper's "avg mIoU").
        frames_per_s: throughput of one stream, from image to labels and confidence.
    """

    contestant: Contestant
    miou: float
    frames_per_s: float


def measure_accuracy(
    models: Mapping[tuple[str, float], SegmentationModel],
    contestants: Sequence[Contestant],
    sequence: Sequence[LabelledImage],
) -> dict[Contestant, float]:
    """Return the average mIoU of every contestant, all judged on the same frames.

    Args:
        models: models by name of the weights and input scale.
        contestants: the ways to label a stream that are measured.
        sequence: consecutive frames with exact labels; see `evaluate_distances`.

    Raises:
        ValueError: if the sequence is shorter than the largest interval.
    """
    longest = max(contestant.interval for contestant in contestants)
    if len(sequence) < longest:
        raise ValueError(f"expected at least {longest} frames, got {len(sequence)}")
    accuracy = {}
    for key, model in models.items():
        of_model = [entry for entry in contestants if (entry.weights, entry.scale) == key]
        max_interval = max(entry.interval for entry in of_model)
        # The first frames have no keyframe far enough before them; nobody is judged on them.
        result = evaluate_distances(model, sequence[longest - max_interval :], max_interval)
        accuracy.update({entry: result.average_miou(entry.interval) for entry in of_model})
    return accuracy


def measure_throughput(
    models: Mapping[tuple[str, float], SegmentationModel],
    contestants: Sequence[Contestant],
    images: Sequence[NDArray[np.uint8]],
    repetitions: int,
    clock: Clock,
) -> dict[Contestant, float]:
    """Return the frames per second of every contestant, timed in turns.

    A turn is one keyframe interval of a stream, labels and confidence included, and two frames of
    per-frame segmentation. In one repetition every contestant has a turn on the same images; the
    next repetition goes on from where it began, in the other direction.

    Args:
        models: models by name of the weights and input scale.
        contestants: the ways to label a stream that are measured.
        images: consecutive frames, (H, W, 3) uint8 RGB.
        repetitions: number of repetitions that count; one more goes first.
        clock: "wall" time, or "cpu" time of all threads for a machine that is not quiet.

    Returns:
        1 / the median over the repetitions of the mean time of a frame.

    Raises:
        ValueError: if there are fewer images than a turn has frames, or no repetitions.
    """
    longest = max(_turn_length(contestant) for contestant in contestants)
    if len(images) < longest:
        raise ValueError(f"expected at least {longest} images, got {len(images)}")
    if repetitions < 1:
        raise ValueError(f"expected at least one repetition, got {repetitions}")
    now = clock_of(clock)
    seconds: dict[Contestant, list[float]] = {contestant: [] for contestant in contestants}
    for repetition in tqdm(range(1 + repetitions), desc="timing"):
        start = repetition * longest % (len(images) - longest + 1)
        turns = list(contestants) if repetition % 2 else list(reversed(contestants))
        for contestant in turns:
            stream = VideoSegmenter(
                models[contestant.weights, contestant.scale], contestant.interval
            )
            count = _turn_length(contestant)
            started = now()
            for image in images[start : start + count]:
                stream.step(image)
            seconds[contestant].append((now() - started) / count)
    return {contestant: 1 / float(np.median(times[1:])) for contestant, times in seconds.items()}


def _turn_length(contestant: Contestant) -> int:
    return contestant.interval if contestant.interval > 1 else _PER_FRAME_IMAGES
