# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Flicker: labels that change from one frame to the next where the scene does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gsvnet_model.classes import IGNORE_INDEX
from gsvnet_model.data.camvid import LabelledImage
from gsvnet_model.model import SegmentationModel
from gsvnet_model.segmenter import VideoSegmenter


class FlickerCount:
    """Counts of steady pixels and of changed labels on them, pooled over pairs of frames.

    Attributes:
        steady: pixels whose exact label stays the same from one frame to the next.
        changed: those of them whose predicted label does not.
    """

    def __init__(self) -> None:
        self.steady = 0
        self.changed = 0

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


def measure_flicker(
    model: SegmentationModel, sequence: Sequence[LabelledImage], intervals: Sequence[int]
) -> dict[int, float]:
    """Return the flicker of one stream per keyframe interval, each as a user would run it.

    Args:
        model: the weights.
        sequence: consecutive frames: image (H, W, 3) uint8 RGB and labels (H, W) uint8, 255
            where there is no truth. All of one size.
        intervals: keyframe intervals; 1 is per-frame segmentation.

    Returns:
        By interval, the percentage of pixels whose label changes from one frame to the next
        although the exact label does not.

    Raises:
        ValueError: if there is no pair of frames, or an interval is not positive.
    """
    if len(sequence) < 2:
        raise ValueError(f"expected at least 2 consecutive frames, got {len(sequence)}")
    streams = {interval: VideoSegmenter(model, interval) for interval in intervals}
    counts = {interval: FlickerCount() for interval in streams}
    earlier: dict[int, NDArray[np.uint8]] = {}
    earlier_truth: NDArray[np.uint8] | None = None
    for index in tqdm(range(len(sequence)), desc="flicker"):
        image, truth = sequence[index]
        for interval, stream in streams.items():
            labels = stream.step(image).labels
            if earlier_truth is not None:
                counts[interval].update((earlier[interval], labels), (earlier_truth, truth))
            earlier[interval] = labels
        earlier_truth = truth
    return {interval: count.rate() for interval, count in counts.items()}
