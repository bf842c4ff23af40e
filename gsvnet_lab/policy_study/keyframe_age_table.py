# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What every frame of a video would look like from every keyframe before it.

A schedule of keyframes only chooses among these pairs, so every schedule and every policy is
judged on them without running a network again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_lab.data.on_grid import values_on_grid
from gsvnet_model.checkpoint.atomic_file import atomic_write
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.labels import labels_and_confidence
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.scheduling.signals import SIGNAL_NAMES
from gsvnet_model.stream.advance import advance

Video: TypeAlias = Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]
"""Frames in order: image (H, W, 3) uint8 RGB and labels (H, W) uint8, or None if unknown."""

_TRUTH_FLOOR = 0.003
"""Share of every class in a cell of a perfect keyframe: leads come out like a network's."""

_CARRIER = "changed"

GIVEN = QualityModel(linear={_CARRIER: 1.0})
"""Reads the estimates that `with_estimates` wrote."""

_BATCH = 16
"""Keyframes that are propagated together."""


@dataclass(frozen=True)
class KeyframeAgeTable:
    """Frame t labelled from the keyframe t - d, for all t < T and d < D; t - d may be no frame.

    Attributes:
        agreement: (T, D, K, K) int32 pixels, [label of a keyframe there, label propagated].
        truth: (T, D, K, K) int32 pixels, [true class, label]; zeros without truth.
        signals: (T, D, S) float32, of the step into t; zeros for d = 0.
    """

    agreement: NDArray[np.int32]
    truth: NDArray[np.int32]
    signals: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of frames T."""
        return len(self.signals)

    @property
    def num_distances(self) -> int:
        """Distances D: the largest interval that can be judged."""
        return int(self.signals.shape[1])

    def save(self, path: Path) -> None:
        """Write the table."""
        with atomic_write(path) as partial:
            np.savez_compressed(
                partial, agreement=self.agreement, truth=self.truth, signals=self.signals
            )

    @classmethod
    def load(cls, path: Path) -> KeyframeAgeTable:
        """Read what `save` wrote.

        Raises:
            ValueError: if the signals are not those of today.
        """
        with np.load(path) as stored:
            table = cls(stored["agreement"], stored["truth"], stored["signals"])
        if table.signals.shape[2] != len(SIGNAL_NAMES):
            raise ValueError(
                f"{path}: expected {len(SIGNAL_NAMES)} signals, got {table.signals.shape[2]}: "
                "made by another version, so delete it to have it made anew"
            )
        return table


def disagreement(table: KeyframeAgeTable) -> NDArray[np.float64]:
    """Return (T, D) percent of pixels labelled unlike by a keyframe in their place."""
    counts = table.agreement
    same = np.trace(counts, axis1=2, axis2=3)
    return np.asarray(100.0 - 100.0 * same / np.maximum(counts.sum((2, 3)), 1))


def with_estimates(table: KeyframeAgeTable, estimates: NDArray[np.float64]) -> KeyframeAgeTable:
    """Return a table whose signals tell the (T, D) estimates to `GIVEN` and nothing else.

    So any estimate, and the truth, can stand in for that of the quality model.
    """
    signals = np.zeros(table.signals.shape, np.float32)
    grown = signals[..., SIGNAL_NAMES.index(_CARRIER)]
    grown[:, 1:] = estimates[:, 1:]
    grown[1:, 2:] -= estimates[:-1, 1:-1]
    return KeyframeAgeTable(table.agreement, table.truth, signals)


@torch.inference_mode()
def keyframe_age_table(
    model: SegmentationModel, video: Video, num_distances: int, perfect_keyframes: bool = False
) -> KeyframeAgeTable:
    """Label every frame from each of the `num_distances` keyframes up to it.

    Args:
        model: the weights.
        video: frames of one size.
        num_distances: the largest interval that the table can judge.
        perfect_keyframes: take the truth, reduced to the grid, for what the keyframe network
            says. So a schedule is not judged by where that network happens to err.

    Returns:
        The table.

    Raises:
        ValueError: if there is no frame or distance, or the frames differ in size.
    """
    if not len(video) or num_distances < 1:
        raise ValueError(
            f"expected at least one frame and one distance, got {len(video)} and {num_distances}"
        )
    count, num_classes = len(video), model.info.classes.num_classes
    height, width = video[0][0].shape[:2]
    grid = model.info.grid_size(height, width)
    inputs, states, keyframe_labels, truths = [], [], [], []
    for image, truth in tqdm(video, desc="keyframes", leave=False, disable=None):
        if image.shape != (height, width, 3):
            raise ValueError(f"expected frames of {(height, width, 3)}, got {image.shape}")
        inputs.append(model.grid_input(image).normalised)
        published = model.segment(image_tensor(image, model.device))
        if perfect_keyframes:
            published = _truth_logits(truth, published, model)
        states.append(model.to_grid(published, grid))
        # A copy, because what comes from a GPU lies in page-locked memory.
        keyframe_labels.append(labels_and_confidence(published[0], height, width)[0].copy())
        truths.append(truth)
    shape = (count, num_distances, num_classes, num_classes)
    agreement, truth_counts = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    signals = np.zeros((count, num_distances, len(SIGNAL_NAMES)), np.float32)
    for start in tqdm(range(0, count, _BATCH), desc="pairs", leave=False, disable=None):
        starts = range(start, min(start + _BATCH, count))
        state = torch.cat([states[index] for index in starts])
        reference = torch.cat([inputs[index] for index in starts])
        shown = [keyframe_labels[index] for index in starts]
        for distance in range(num_distances):
            targets = [index + distance for index in starts if index + distance < count]
            if not targets:
                break
            if distance:
                count_now = len(targets)
                current = torch.cat([inputs[index] for index in targets])
                step = advance(
                    model, state[:count_now], reference[:count_now], current, measure_signals=True
                )
                state, reference = step.logits, step.reference
                signals[np.array(targets), distance] = step.signals
                for number in np.flatnonzero(step.moved).tolist():
                    shown[number] = labels_and_confidence(state[number], height, width)[0]
            for number, target in enumerate(targets):
                labels = shown[number]
                agreement[target, distance] = _counts(keyframe_labels[target], labels, num_classes)
                truth = truths[target]
                if truth is not None:
                    truth_counts[target, distance] = _counts(truth, labels, num_classes)
    return KeyframeAgeTable(agreement, truth_counts, signals)


def _truth_logits(
    truth: NDArray[np.uint8] | None, logits: Tensor, model: SegmentationModel
) -> Tensor:
    """Return the truth as (1, K, h, w) logits on the grid; unlabelled pixels as the network."""
    if truth is None:
        raise ValueError("expected labels for perfect keyframes, got a frame without")
    height, width = truth.shape
    own = labels_and_confidence(logits[0], height, width)[0]
    filled = torch.from_numpy(np.where(truth < logits.shape[1], truth, own))
    one_hot = F.one_hot(filled.long(), logits.shape[1]).permute(2, 0, 1)[None].float()
    stride = model.info.grid_stride_of(height, width)
    shares = values_on_grid(one_hot, stride, model.info.grid_filter)
    return (shares + _TRUTH_FLOOR).log().to(model.device)


def _counts(
    truth: NDArray[np.uint8], labels: NDArray[np.uint8], num_classes: int
) -> NDArray[np.int64]:
    """Return (K, K) pixels by true class (255 does not count) and label."""
    rows = np.minimum(truth, num_classes).astype(np.uint16)
    pairs = rows * np.uint16(num_classes) + labels
    counts = np.bincount(pairs.ravel(), minlength=(num_classes + 1) * num_classes)
    return counts.reshape(num_classes + 1, num_classes)[:num_classes]
