# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The best possible keyframe schedules, found with the labels or the future."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.policy_study.schedule import miou

_ROUNDS = 5


def best_ages(
    matrices: NDArray[np.int32], num_keyframes: int, start: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the (T,) ages of the schedule with the highest pooled mIoU.

    Mean IoU is no sum over frames. It is replaced by its tangent at the counts of the best
    schedule so far, for which dynamic programming finds the exact optimum, and so on.

    Args:
        matrices: (T, D, K, K) confusion matrices, pixels, of frame t labelled from keyframe
            t - d; all zero where there is no such pair.
        num_keyframes: number of keyframes of the schedule, the first frame included.
        start: (T,) ages of a schedule to start from.

    Raises:
        ValueError: if the number of keyframes is not in ceil(T / D)..T.
    """
    count, num_distances = matrices.shape[:2]
    fewest = -(-count // num_distances)
    if not fewest <= num_keyframes <= count:
        raise ValueError(f"expected {fewest} to {count} keyframes, got {num_keyframes}")
    frames = np.arange(count)
    best, best_score = start, -1.0
    counts = matrices[frames, start].sum(axis=0).astype(np.float64)
    exists = matrices.any(axis=(2, 3))
    for _ in range(_ROUNDS):
        worth = np.einsum("tdij,ij->td", matrices, _tangent(counts))
        worth[~exists] = -np.inf
        ages = _optimum(worth, num_keyframes)
        found = matrices[frames, ages].sum(axis=0).astype(np.float64)
        score = miou(found)
        if score > best_score:
            best, best_score, counts = ages, score, found
        else:
            counts = 0.5 * (counts + found)
    return best


def foreseen_ages(disagreement: NDArray[np.float64], price: float, ahead: int) -> NDArray[np.intp]:
    """Return the (T,) ages of a schedule that plans anew at every frame, seeing some frames ahead.

    A plan costs the disagreement of the frames in sight, the one at hand included, and a price for
    each keyframe among them. Every frame follows the plan of the lowest cost.

    Args:
        disagreement: (T, D) percent of pixels that a keyframe in the frame's place would label
            differently.
        price: price of a keyframe, percent of pixels * frames.
        ahead: number of frames in sight.
    """
    count, num_distances = disagreement.shape
    ages = np.zeros(count, np.intp)
    for frame in range(1, count):
        age = int(ages[frame - 1]) + 1
        if age == num_distances:
            continue
        end = min(frame + ahead, count)
        # cost[k - frame]: of all frames from k on if k is a keyframe.
        cost = np.zeros(end - frame + 1)
        for first in range(end - 1, frame - 1, -1):
            held = _held(disagreement, first, 0, end)
            cost[first - frame] = price + (held + cost[first - frame + 1 :][: len(held)]).min()
        held = _held(disagreement, frame, age, end)
        keeping = (held + cost[1:][: len(held)]).min()
        ages[frame] = 0 if cost[0] < keeping else age
    return ages


def _held(disagreement: NDArray[np.float64], first: int, age: int, end: int) -> NDArray[np.float64]:
    """Return the disagreement summed over 1, 2, ... frames; frame `first` has age `age`."""
    length = min(end - first, disagreement.shape[1] - age)
    steps = np.arange(length)
    return np.asarray(disagreement[first + steps, age + steps].cumsum())


def _tangent(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (K, K) derivatives of the mean IoU by every count."""
    hit = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    occurs = union > 0
    union = np.maximum(union, 1)
    loss = np.where(occurs, hit / union**2, 0)
    slope = -(loss[:, None] + loss[None, :])
    # A hit enlarges the union once and the intersection with it.
    np.fill_diagonal(slope, np.where(occurs, 1 / union, 0) - loss)
    return np.asarray(slope / max(1, occurs.sum()))


def _optimum(worth: NDArray[np.float64], num_keyframes: int) -> NDArray[np.intp]:
    """Return the (T,) ages with the largest sum of worth[t, age] for a number of keyframes."""
    count, num_distances = worth.shape
    # gain[k, d]: of the frames k to k + d, all labelled from keyframe k.
    gain = np.full((count, num_distances), -np.inf)
    for distance in range(min(num_distances, count)):
        before = gain[: count - distance, distance - 1] if distance else 0.0
        gain[: count - distance, distance] = before + worth[distance:, distance]
    # best[m, k]: of all frames from keyframe k on with m keyframes.
    best = np.full((num_keyframes + 1, count + 1), -np.inf)
    best[0, count] = 0.0
    choice = np.zeros((num_keyframes + 1, count), np.intp)
    after = np.minimum(np.arange(count)[:, None] + np.arange(num_distances) + 1, count)
    for left in range(1, num_keyframes + 1):
        options = gain + best[left - 1, after]
        choice[left] = options.argmax(axis=1)
        best[left, :count] = options.max(axis=1)
    ages = np.zeros(count, np.intp)
    first, left = 0, num_keyframes
    while first < count:
        last = int(choice[left, first])
        ages[first : first + last + 1] = np.arange(last + 1)
        first, left = first + last + 1, left - 1
    return ages
