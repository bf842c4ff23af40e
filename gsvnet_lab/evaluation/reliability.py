# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Whether confidences mean what they say: of the pixels at 80 %, 80 % should be right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX

NUM_BINS = 15
"""Bins of equal width, as is usual; each holds 17 of the 255 steps of a uint8 confidence."""

_MIN_SHARE = 1e-4
"""Bins with a smaller share of the pixels say nothing, and their accuracy is not drawn."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels of similar confidence.

    Attributes:
        pixels: number of pixels.
        confidence: mean confidence of the pixels, 0..1.
        accuracy: share of the pixels whose label is right, 0..1.
    """

    pixels: int
    confidence: float
    accuracy: float


class ReliabilityHistogram:
    """Pixels and right labels by confidence, pooled over any number of images.

    A confidence counts as its uint8 value / 255, which is what a stream returns.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(256, np.int64)
        self.correct: NDArray[np.int64] = np.zeros(256, np.int64)

    @classmethod
    def sum(cls, histograms: Iterable[ReliabilityHistogram]) -> ReliabilityHistogram:
        """Return several histograms as one."""
        total = cls()
        for histogram in histograms:
            total.counts += histogram.counts
            total.correct += histogram.correct
        return total

    def update(
        self, labels: NDArray[np.uint8], confidence: NDArray[np.uint8], truth: NDArray[np.uint8]
    ) -> None:
        """Add one label image.

        Args:
            labels: (H, W) uint8 class ids.
            confidence: (H, W) uint8, floor(255 * probability of the label).
            truth: (H, W) uint8 class ids, 255 where there is no truth (not counted).

        Raises:
            ValueError: if the shapes differ.
        """
        if not labels.shape == confidence.shape == truth.shape:
            raise ValueError(
                f"expected labels and confidence of the truth's shape {truth.shape}, "
                f"got {labels.shape} and {confidence.shape}"
            )
        known = truth != IGNORE_INDEX
        pairs = 2 * confidence[known].astype(np.int64) + (labels[known] == truth[known])
        wrong_and_right = np.bincount(pairs, minlength=512).reshape(256, 2)
        self.counts += wrong_and_right.sum(1)
        self.correct += wrong_and_right[:, 1]

    def bins(self, num_bins: int = NUM_BINS) -> list[ReliabilityBin]:
        """Return the bins that hold pixels, from low to high confidence.

        Args:
            num_bins: number of bins of equal width in 0..1; a confidence on the border of two
                bins belongs to the upper one, and 1 to the last one.

        Raises:
            ValueError: if `num_bins` is below 1.
        """
        if num_bins < 1:
            raise ValueError(f"expected at least one bin, got {num_bins}")
        values = np.arange(256)
        bin_of_value = np.minimum(values * num_bins // 255, num_bins - 1)
        pixels, correct, confidence = (
            np.bincount(bin_of_value, weights, num_bins)
            for weights in (self.counts, self.correct, self.counts * values / 255)
        )
        return [
            ReliabilityBin(
                int(pixels[index]),
                float(confidence[index] / pixels[index]),
                float(correct[index] / pixels[index]),
            )
            for index in np.flatnonzero(pixels)
        ]

    def expected_calibration_error(self, num_bins: int = NUM_BINS) -> float:
        """Return the mean over all pixels of |confidence - accuracy| of their bin, 0..1.

        Nan if nothing was counted.
        """
        total = int(self.counts.sum())
        if not total:
            return float("nan")
        gaps = (
            entry.pixels * abs(entry.confidence - entry.accuracy) for entry in self.bins(num_bins)
        )
        return sum(gaps) / total

    def mean_confidence(self) -> float:
        """Return the mean confidence, 0..1; nan if nothing was counted."""
        total = int(self.counts.sum())
        return float(self.counts @ np.arange(256)) / (255 * total) if total else float("nan")


def plot_reliability(histograms: Sequence[ReliabilityHistogram], path: Path) -> None:
    """Draw accuracy and share of the pixels by confidence, one panel per keyframe age.

    Args:
        histograms: one histogram per keyframe age; index = age in frames.
        path: image file to write; the suffix names the format.

    Raises:
        ValueError: if there is no histogram.
    """
    if not histograms:
        raise ValueError("expected at least one histogram, got none")
    from matplotlib.figure import Figure  # slow to import, and most commands draw nothing

    figure = Figure(figsize=(2.6 * len(histograms), 3.0), layout="constrained")
    panels = figure.subplots(1, len(histograms), sharex=True, sharey=True, squeeze=False)[0]
    for age, (panel, histogram) in enumerate(zip(panels, histograms, strict=True)):
        bins = histogram.bins()
        total = sum(entry.pixels for entry in bins)
        panel.plot((0, 1), (0, 1), color="0.6", linewidth=1)
        panel.bar(
            [entry.confidence for entry in bins],
            [entry.pixels / total for entry in bins],
            width=1 / NUM_BINS,
            color="0.85",
            label="share of the pixels",
        )
        filled = [entry for entry in bins if entry.pixels >= _MIN_SHARE * total]
        panel.plot(
            [entry.confidence for entry in filled],
            [entry.accuracy for entry in filled],
            marker="o",
            markersize=3,
            label="accuracy",
        )
        error = histogram.expected_calibration_error()
        panel.set_title(f"age {age}: ECE {error:.3f}", fontsize="medium")
        panel.set_xlabel("confidence")
        panel.set_aspect("equal")
    panels[0].set_ylabel("share")
    panels[0].legend(fontsize="x-small", loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
