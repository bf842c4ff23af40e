# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Whether confidences mean what they say: of the pixels at 80 %, 80 % should be right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX

NUM_BINS = 15
"""Bins of equal width, as is usual; each holds 17 of the 255 steps of a uint8 confidence."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels of similar confidence.

    Attributes:
        pixels: how many.
        confidence: their mean confidence, 0..1.
        accuracy: share of them whose label is right, 0..1.
    """

    pixels: int
    confidence: float
    accuracy: float


class ReliabilityHistogram:
    """Pixels and right labels by confidence, pooled over any number of images.

    A confidence counts as what it is published as, its uint8 value / 255.
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
            labels: (H, W) class ids.
            confidence: (H, W), floor(255 * probability of the label).
            truth: (H, W) class ids, 255 where there is no truth (not counted).

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
            num_bins: bins of equal width in 0..1; a probability on the border of two belongs to
                the upper one, and 1 to the last one.

        Raises:
            ValueError: if there is no bin to count in.
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
