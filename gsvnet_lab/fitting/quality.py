# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Fit the quality model: the estimate of disagreement, and the test for scene cuts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gsvnet_lab.policy_study.keyframe_age_table import KeyframeAgeTable, Video, disagreement
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.changed_cells import changed_cells
from gsvnet_model.scheduling.quality import QualityModel, log_signal
from gsvnet_model.scheduling.signals import SIGNAL_NAMES, frame_signals
from gsvnet_model.stream.state import observed_disagreement

_RIDGE = 1e-3
_SWEEPS = 3000
_LONG_AFTER = 40
_REPLACED = 20.0
"""Least percent of cells whose label a cut changes; a smaller change is motion in one scene."""
_TRIES = 50


def summed_signals(table: KeyframeAgeTable) -> NDArray[np.float64]:
    """Return (T, D, S) signals summed over the steps from the keyframe t - d to t."""
    sums = table.signals.astype(np.float64)
    for distance in range(1, table.num_distances):
        sums[distance:, distance] += sums[distance - 1 : -1, distance - 1]
    return sums


def real_pairs(table: KeyframeAgeTable) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return frames and distances of all pairs of a propagated frame and an existing keyframe."""
    frames, distances = np.indices(table.signals.shape[:2])
    frame, distance = np.nonzero((distances > 0) & (frames >= distances))
    return frame, distance


def fit_quality(tables: Sequence[KeyframeAgeTable], cuts: NDArray[np.float64]) -> QualityModel:
    """Fit the estimate of disagreement and the test for cuts.

    Args:
        tables: keyframe-age tables of videos without cuts.
        cuts: (N, S) signals of N propagation steps across cuts.

    Returns:
        The quality model.

    Raises:
        ValueError: if there is no table or no cut.
    """
    if not tables or not len(cuts):
        raise ValueError(f"expected tables and cuts, got {len(tables)} and {len(cuts)}")
    inputs, targets, weights, steps = [], [], [], []
    for table in tables:
        frame, distance = real_pairs(table)
        sums = np.maximum(summed_signals(table)[frame, distance], 0)
        inputs.append(np.concatenate((sums, np.sqrt(sums)), axis=1))
        targets.append(disagreement(table)[frame, distance])
        # Far more pairs are far apart than a stream ever lets them get.
        weights.append(1 / np.sqrt(distance))
        step = table.signals[frame, distance]
        steps.append(step[step.any(axis=1)].astype(np.float64))
    values = _non_negative_fit(*(np.concatenate(part) for part in (inputs, targets, weights)))
    linear, root = np.split(values, 2)
    cut, bias = _separate(np.concatenate(steps), cuts)
    return QualityModel(_named(linear), _named(root), _named(cut), bias)


def _named(values: NDArray[np.float64]) -> dict[str, float]:
    pairs = zip(SIGNAL_NAMES, values, strict=True)
    return {name: round(float(value), 4) for name, value in pairs if abs(value) > 5e-5}


def agreement_of(quality: QualityModel, tables: Sequence[KeyframeAgeTable]) -> tuple[float, float]:
    """Return a model's rank correlation and mean error, percent of pixels, pooled over videos."""
    predicted, true = [], []
    for table in tables:
        pairs = real_pairs(table)
        predicted.append(quality.disagreement(summed_signals(table)[pairs]))
        true.append(disagreement(table)[pairs])
    first, second = np.concatenate(predicted), np.concatenate(true)
    return rank_correlation(first, second), float(np.abs(first - second).mean())


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's coefficient of two equally long series; ties share their mean rank."""
    ranks = []
    for values in (first, second):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - 0.5 * (counts - 1))[inverse])
    return float(np.corrcoef(np.stack(ranks))[0, 1])


def _non_negative_fit(
    inputs: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the ridge regression with weights of 0 or more, by coordinate descent."""
    scale = np.sqrt((inputs**2).mean(axis=0)) + 1e-12
    scaled = inputs / scale
    count = scaled.shape[1]
    matrix = (scaled * weights[:, None]).T @ scaled / weights.sum() + _RIDGE * np.eye(count)
    vector = (scaled * weights[:, None]).T @ targets / weights.sum()
    values = np.zeros(count)
    for _ in range(_SWEEPS):
        for index in range(count):
            step = (vector[index] - matrix[index] @ values) / matrix[index, index]
            values[index] = max(0.0, values[index] + step)
    return np.asarray(values / scale)


def _separate(
    steps: NDArray[np.float64], cuts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return weights and bias on `log_signal` that tell cuts (positive) from steps."""
    values = np.concatenate((log_signal(steps), log_signal(cuts)))
    centre = values.mean(axis=0)
    spread = values.std(axis=0)
    spread[spread < 1e-6] = 1.0  # a signal that never changes gets no weight
    scaled = (values - centre) / spread
    target = np.repeat((-1.0, 1.0), (len(steps), len(cuts)))
    weight = np.repeat((1 / len(steps), 1 / len(cuts)), (len(steps), len(cuts)))
    matrix = (scaled * weight[:, None]).T @ scaled + 1e-2 * np.eye(scaled.shape[1])
    weights = np.linalg.solve(matrix, (scaled * weight[:, None]).T @ target) / spread
    scores = values @ weights
    ordinary, changed = scores[: len(steps)], scores[len(steps) :]
    # A cut missed costs a wrong frame, an ordinary step taken for one only time: nearer to the
    # steps where there is room, and on the side of the cuts where there is none.
    last, first = np.quantile(ordinary, 0.998), np.quantile(changed, 0.002)
    border = min(first, last + 0.25 * max(0.0, first - last))
    return weights, float(-border)


def cut_signals(
    model: SegmentationModel, videos: Sequence[Video], count: int, seed: int = 0
) -> NDArray[np.float64]:
    """Return (count, S) signals of steps from a frame to one of another video or much later.

    Raises:
        ValueError: if there are fewer than two videos, or all show one scene.
    """
    if len(videos) < 2:
        raise ValueError(f"expected at least 2 videos to cut between, got {len(videos)}")
    rng = np.random.default_rng(seed)
    found: list[NDArray[np.float64]] = []
    for _ in range(_TRIES * count):
        first, second = rng.choice(len(videos), 2, replace=False)
        video = videos[first]
        if len(found) % 4 == 0 and len(video) > _LONG_AFTER:
            # The same place a while later is the hardest cut to notice.
            start = int(rng.integers(len(video) - _LONG_AFTER))
            before, after = video[start][0], video[start + _LONG_AFTER][0]
        else:
            before = video[int(rng.integers(len(video)))][0]
            after = videos[second][int(rng.integers(len(videos[second])))][0]
        signals, replaced = step_signals(model, before, after)
        if replaced >= _REPLACED:
            found.append(signals)
        if len(found) == count:
            return np.stack(found)
    raise ValueError(
        f"expected videos of different scenes, got {len(found)} of {count} pairs of frames whose "
        f"labels differ in {_REPLACED:g} % of the pixels"
    )


@torch.inference_mode()
def step_signals(
    model: SegmentationModel, before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], float]:
    """Return the signals of a step from a keyframe to another image of the same size.

    Args:
        model: the weights.
        before: (H, W, 3) uint8 RGB, the keyframe.
        after: (H, W, 3) uint8 RGB, the image that is propagated to.

    Returns:
        (S,) signals, and the percent of cells that the keyframe network labels differently in the
        two images.
    """
    previous, current = (model.grid_input(image).normalised for image in (before, after))
    grid = (previous.shape[2], previous.shape[3])
    state, wanted = (
        model.to_grid(model.segment(image_tensor(image, model.device)), grid)
        for image in (before, after)
    )
    output = model.propagate(state, current, previous)
    signals = frame_signals(output, current, previous, state, changed_cells(current, previous))
    return np.asarray(signals[0]), observed_disagreement(state, wanted)
