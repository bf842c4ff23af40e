# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Confusion matrix, and the scores computed from it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX


class ConfusionMatrix:
    """Counts of (true class, labelled class) pairs, pooled over any number of images.

    Args:
        num_classes: number of classes K.
    """

    def __init__(self, num_classes: int) -> None:
        # One column more than rows: pixels that were left without a class are a miss of the
        # true class and a false alarm of none.
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes + 1), np.int64)

    def update(self, labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Add one label image.

        Args:
            labels: (H, W) uint8 class ids; ids of no class count as wrong.
            truth: (H, W) uint8 class ids, 255 where there is no truth (not counted).

        Raises:
            ValueError: if the shapes differ.
        """
        if labels.shape != truth.shape:
            raise ValueError(
                f"expected labels of the truth's shape {truth.shape}, got {labels.shape}"
            )
        num_classes = len(self.counts)
        known = truth < num_classes
        pairs = truth[known].astype(np.int64) * (num_classes + 1)
        pairs += np.minimum(labels[known], num_classes)
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    def iou(self) -> NDArray[np.float64]:
        """Return the (K,) intersection over union, 0..1; nan for classes that never occur."""
        hit = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0)[:-1] + self.counts.sum(1) - hit
        return np.where(union > 0, hit / np.maximum(union, 1), np.nan)

    def miou(self) -> float:
        """Return the mean IoU in percent over the classes that occur; nan if none does."""
        iou = self.iou()
        return float(100.0 * np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    def pixel_accuracy(self) -> float:
        """Return the share of correct pixels in percent; nan if nothing was counted."""
        total = int(self.counts.sum())
        return float(100.0 * np.trace(self.counts) / total) if total else float("nan")


def check_labelled(images: Iterable[tuple[object, NDArray[np.uint8]]], data: str) -> None:
    """Check that images have a truth to judge by; reads up to the first labelled one.

    Without any image nothing is refused: whoever judges says how many frames it needs.

    Args:
        images: pairs of an image, or anything, and its truth, (H, W) uint8 with 255 = void.
        data: name of the data, for the message.

    Raises:
        ValueError: if every pixel is void.
    """
    without = 0
    for _, truth in images:
        if (truth != IGNORE_INDEX).any():
            return
        without += 1
    if without:
        raise ValueError(
            f"expected labelled pixels in {data}, got void in every pixel of its {without} images: "
            "there is no truth to judge by; check the label images or choose other data"
        )


def pooled(matrices: list[ConfusionMatrix]) -> ConfusionMatrix:
    """Return the sum of confusion matrices: the paper's "average" protocol.

    Raises:
        ValueError: if the list is empty.
    """
    if not matrices:
        raise ValueError("expected at least one confusion matrix, got none")
    total = ConfusionMatrix(len(matrices[0].counts))
    for matrix in matrices:
        total.counts += matrix.counts
    return total
