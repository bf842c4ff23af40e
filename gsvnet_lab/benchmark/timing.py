# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frame times of the stream, of per-frame segmentation and of the released arrangement."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.benchmark.released_arrangement import ReleasedArrangement
from gsvnet_model.hardware.allocator import default_malloc
from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.segmenter import VideoSegmenter

Clock = Literal["wall", "cpu"]
CLOCKS: tuple[str, ...] = get_args(Clock)

MIN_IMAGES = 3
"""Frames of the released arrangement in a repetition: a keyframe and two more, since it is slow."""

_PER_FRAME_IMAGES = 2


@dataclass(frozen=True)
class Spread:
    """Times of one kind of frame.

    Attributes:
        median_ms: median, milliseconds.
        p95_ms: 95th percentile, milliseconds.
        samples: number of times.
    """

    median_ms: float
    p95_ms: float
    samples: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Spread:
        """Return the figures of a list of times in milliseconds."""
        p95 = float(np.percentile(milliseconds, 95))
        return cls(float(np.median(milliseconds)), p95, len(milliseconds))


@dataclass(frozen=True)
class FrameFigures:
    """Times and ratios of one workload.

    Ratios are taken within a repetition, whose parts ran one right after the other, and are then
    medians over the repetitions: a process that slows some repetitions down slows both sides.

    Attributes:
        frames: times of frames by kind: "keyframe", "propagated", "released keyframe", "released
            propagated".
        stage_ms: median wall time of every stage of the stream, by kind of frame and stage.
        speedup: released time / our time, by kind of frame: "keyframe" and "propagated".
        frames_per_s: frames per second, by keyframe interval.
        throughput_ratio: frames per second / frames per second of interval 1, by keyframe
            interval.
        boundary_share: share of grid cells on a propagated frame whose corners differ in label.
    """

    frames: dict[str, Spread]
    stage_ms: dict[str, dict[str, float]]
    speedup: dict[str, float]
    frames_per_s: dict[int, float]
    throughput_ratio: dict[int, float]
    boundary_share: float


@dataclass(frozen=True)
class StreamFigures:
    """Several streams at once.

    Attributes:
        streams: number of streams.
        frames_per_s: frames per second of all streams together.
        frame: times of a frame.
    """

    streams: int
    frames_per_s: float
    frame: Spread


def clock_of(name: Clock) -> Callable[[], float]:
    """Return a function that gives the time in seconds: "wall", or "cpu" of all threads."""
    return time.perf_counter if name == "wall" else time.process_time


def time_frames(
    model: SegmentationModel,
    released: ReleasedArrangement,
    images: Sequence[NDArray[np.uint8]],
    intervals: Sequence[int],
    repetitions: int,
    clock: Clock,
) -> FrameFigures:
    """Time everything in turns, so that all see the same machine.

    Args:
        model: the weights.
        released: the baseline, with the same weights.
        images: consecutive (H, W, 3) uint8 RGB frames, at least `MIN_IMAGES` and as many as the
            largest interval.
        intervals: keyframe intervals to time; 1, per-frame segmentation, is added.
        repetitions: number of repetitions that count; one more goes first.
        clock: "wall" time, or "cpu" time of all threads for a machine that is not quiet.
    """
    now = clock_of(clock)
    samples: list[_Repetition] = []
    for _ in range(1 + repetitions):
        sample = _Repetition(now)
        for interval in sorted({1, *intervals}):
            count = _PER_FRAME_IMAGES if interval == 1 else interval
            sample.step(model, images[:count], interval)
        with default_malloc():
            sample.step_released(released, images[:MIN_IMAGES])
        samples.append(sample)
    segmenter = VideoSegmenter(model, 2)
    labels = [segmenter.step(image).labels for image in images[:2]]
    return _figures(
        samples[1:], boundary_share(labels[1], model.info.grid_stride_of(*labels[1].shape))
    )


class _Repetition:
    """Milliseconds of one repetition: of frames, of stages, and means over an interval."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.frames: defaultdict[str, list[float]] = defaultdict(list)
        self.stages: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
        self.intervals: dict[int, float] = {}

    def step(
        self, model: SegmentationModel, images: Sequence[NDArray[np.uint8]], interval: int
    ) -> None:
        """Label images from a keyframe on."""
        segmenter = VideoSegmenter(model, interval)
        times = []
        for image in images:
            started = self._now()
            step = segmenter.step(image)
            times.append(1e3 * (self._now() - started))
            kind = "keyframe" if step.is_keyframe else "propagated"
            self.frames[kind].append(times[-1])
            self.stages[kind].append(step.stage_ms)
        self.intervals[interval] = sum(times) / len(times)

    def step_released(
        self, stream: ReleasedArrangement, images: Sequence[NDArray[np.uint8]]
    ) -> None:
        """Label images from a keyframe on through the released arrangement."""
        stream.reset()
        for index, image in enumerate(images):
            started = self._now()
            stream.step(image)
            kind = "released propagated" if index else "released keyframe"
            self.frames[kind].append(1e3 * (self._now() - started))


def _figures(samples: Sequence[_Repetition], share: float) -> FrameFigures:
    """Return medians and ratios; see `FrameFigures`."""
    kinds = samples[0].frames
    intervals = samples[0].intervals
    stages = {kind: samples[0].stages[kind][0] for kind in samples[0].stages}
    medians = {
        kind: np.array([np.median(sample.frames[kind]) for sample in samples]) for kind in kinds
    }
    means = {
        interval: np.array([sample.intervals[interval] for sample in samples])
        for interval in intervals
    }
    return FrameFigures(
        frames={
            kind: Spread.of([time for sample in samples for time in sample.frames[kind]])
            for kind in kinds
        },
        stage_ms={
            kind: {
                stage: float(
                    np.median([step[stage] for sample in samples for step in sample.stages[kind]])
                )
                for stage in names
            }
            for kind, names in stages.items()
        },
        speedup={
            kind: float(np.median(medians[f"released {kind}"] / medians[kind])) for kind in stages
        },
        frames_per_s={interval: 1e3 / float(np.median(means[interval])) for interval in intervals},
        throughput_ratio={
            interval: float(np.median(means[1] / means[interval])) for interval in intervals
        },
        boundary_share=share,
    )


def time_streams(
    model: SegmentationModel,
    images: Sequence[NDArray[np.uint8]],
    interval: int,
    num_streams: int,
    repetitions: int,
) -> StreamFigures:
    """Time several streams at once on one model, a thread for each; keyframes do not coincide.

    Args:
        model: the weights.
        images: consecutive (H, W, 3) uint8 RGB frames, repeated as often as needed.
        interval: keyframe interval of every stream, frames.
        num_streams: number of streams.
        repetitions: number of keyframe intervals that are timed.
    """
    barrier = threading.Barrier(num_streams + 1)
    frames = interval * repetitions
    times: list[list[float]] = [[] for _ in range(num_streams)]

    def run(stream: int) -> None:
        segmenter = VideoSegmenter(model, interval)
        for index in range(1 + stream * interval // num_streams):
            segmenter.step(images[index % len(images)])
        barrier.wait()
        for index in range(frames):
            started = time.perf_counter()
            segmenter.step(images[index % len(images)])
            times[stream].append(1e3 * (time.perf_counter() - started))

    threads = [threading.Thread(target=run, args=(stream,)) for stream in range(num_streams)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    return StreamFigures(
        num_streams,
        num_streams * frames / elapsed,
        Spread.of([time_ms for stream in times for time_ms in stream]),
    )


def boundary_share(labels: NDArray[np.uint8], stride: int) -> float:
    """Return the share of grid cells, of `stride` pixels, whose four corners differ in label."""
    corners = labels[::stride, ::stride]
    first = corners[:-1, :-1]
    others = (corners[1:, :-1], corners[:-1, 1:], corners[1:, 1:])
    return float(np.mean([first != other for other in others], axis=0).astype(bool).mean())
