# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Streams as users run them: their accuracy, and labels that change where the scene does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_lab.evaluation.metrics import ConfusionMatrix, pooled
from gsvnet_lab.evaluation.reliability import ReliabilityHistogram
from gsvnet_model.model import SegmentationModel
from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_model.stream.segmenter import VideoSegmenter


class FlickerCount:
    """Counts of steady pixels and of changed labels on them, pooled over pairs of frames.

    Attributes:
        steady: pixels whose exact label stays the same from one frame to the next.
        changed: those of them whose predicted label does not.
    """

    def __init__(self) -> None:
        self.steady = 0
        self.changed = 0

    @classmethod
    def sum(cls, counts: Iterable[FlickerCount]) -> FlickerCount:
        """Return several counts as one."""
        total = cls()
        for count in counts:
            total.steady += count.steady
            total.changed += count.changed
        return total

    def update(
        self,
        labels: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        truth: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    ) -> None:
        """Add one pair of consecutive frames.

        Args:
            labels: (H, W) class ids of the earlier and of the later frame.
            truth: the exact ones, 255 where there is no truth (not counted).

        Raises:
            ValueError: if the shapes differ.
        """
        shapes = {array.shape for array in (*labels, *truth)}
        if len(shapes) != 1:
            raise ValueError(f"expected four label images of one shape, got {sorted(shapes)}")
        steady = (truth[0] == truth[1]) & (truth[0] != IGNORE_INDEX)
        self.steady += int(steady.sum())
        self.changed += int((steady & (labels[0] != labels[1])).sum())

    def rate(self) -> float:
        """Return the percentage of steady pixels whose label changes; nan without any."""
        return 100 * self.changed / self.steady if self.steady else float("nan")


@dataclass(frozen=True)
class StreamFigures:
    """How streams of one kind did, started at every place of their keyframe interval.

    Attributes:
        interval: frames from one keyframe to the next; 1 is per-frame segmentation.
        temporal_blending: share of a keyframe's logits that comes from the frames before.
        average_miou: percent, of the frames that keyframes of every age can reach.
        minimum_miou: percent, of those of these frames that are `interval` - 1 frames from their
            keyframe.
        expected_calibration_error: of these frames by keyframe age, 0 to `interval` - 1.
        miou: percent, of all frames of all starts.
        flicker: percentage of pixels whose label changes from one frame to the next although the
            exact label does not.
    """

    interval: int
    temporal_blending: float
    average_miou: float
    minimum_miou: float
    expected_calibration_error: tuple[float, ...]
    miou: float
    flicker: float


def measure_streams(
    model: SegmentationModel,
    sequence: Sequence[LabelledImage],
    kinds: Sequence[tuple[int, float]],
) -> list[StreamFigures]:
    """Label a clip as a user would, and count what is right and what flickers.

    Args:
        model: the weights.
        sequence: consecutive frames: image (H, W, 3) uint8 RGB and labels (H, W) uint8, 255
            where there is no truth. All of one size.
        kinds: keyframe interval and temporal blending of each kind of stream.

    Raises:
        ValueError: if there is no pair of frames, the sequence is shorter than the largest
            interval, or a kind is out of range.
    """
    longest = max(interval for interval, _ in kinds)
    if len(sequence) < max(2, longest):
        raise ValueError(
            f"expected at least {max(2, longest)} consecutive frames, got {len(sequence)}"
        )
    streams = [[_Stream(model, *kind, start) for start in range(kind[0])] for kind in kinds]
    for index in tqdm(range(len(sequence)), desc="streams", disable=None):
        image, truth = sequence[index]
        for stream in (stream for alike in streams for stream in alike):
            stream.step(image, truth, reached_by_all=index >= longest - 1)
    return [_figures(*kind, alike) for kind, alike in zip(kinds, streams, strict=True)]


def _figures(interval: int, temporal_blending: float, streams: Sequence[_Stream]) -> StreamFigures:
    """Return the figures of streams that differ in their start alone."""
    by_age = [pooled([stream.by_age[age] for stream in streams]) for age in range(interval)]
    return StreamFigures(
        interval,
        temporal_blending,
        pooled(by_age).miou(),
        by_age[-1].miou(),
        tuple(
            ReliabilityHistogram.sum(
                stream.reliability[age] for stream in streams
            ).expected_calibration_error()
            for age in range(interval)
        ),
        pooled([stream.matrix for stream in streams]).miou(),
        FlickerCount.sum(stream.flicker for stream in streams).rate(),
    )


class _Stream:
    """One stream with what has been counted of it; its keyframes are shifted by `start` frames."""

    def __init__(
        self, model: SegmentationModel, interval: int, temporal_blending: float, start: int
    ) -> None:
        num_classes = model.info.classes.num_classes
        self.matrix = ConfusionMatrix(num_classes)
        self.by_age = [ConfusionMatrix(num_classes) for _ in range(interval)]
        self.reliability = [ReliabilityHistogram() for _ in range(interval)]
        self.flicker = FlickerCount()
        self._segmenter = VideoSegmenter(model, interval, temporal_blending=temporal_blending)
        self._to_shift = start
        self._before: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None

    def step(
        self, image: NDArray[np.uint8], truth: NDArray[np.uint8], reached_by_all: bool
    ) -> None:
        """Label a frame and count it; by age if keyframes of every age can reach it."""
        shifted = "shift" if self._to_shift == 0 and self._before is not None else ""
        self._to_shift -= 1
        done = self._segmenter.step(image, force_keyframe=shifted)
        self.matrix.update(done.labels, truth)
        if reached_by_all:
            self.by_age[done.keyframe_age].update(done.labels, truth)
            self.reliability[done.keyframe_age].update(done.labels, done.confidence, truth)
        if self._before is not None:
            self.flicker.update((self._before[0], done.labels), (self._before[1], truth))
        self._before = done.labels, truth
