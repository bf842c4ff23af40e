# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Keyframe schedules on a keyframe-age table: of policies and fixed intervals, with scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.policy_study.keyframe_age_table import KeyframeAgeTable, disagreement
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.scheduling.quality import FrameQuality, QualityModel


@dataclass(frozen=True)
class FrameCosts:
    """Milliseconds of a frame, all stages together.

    Attributes:
        keyframe_ms: time of a keyframe.
        propagated_ms: time of a propagated frame.
    """

    keyframe_ms: float
    propagated_ms: float


@dataclass(frozen=True)
class Schedule:
    """Keyframe or not, of every frame of a video.

    Attributes:
        ages: (T,) int, frames since the keyframe; 0 on keyframes.
        reasons: one text per frame, why it was a keyframe; "" for propagated frames.
        milliseconds: (T,) time of every frame; a keyframe that was propagated first costs both.
    """

    ages: NDArray[np.intp]
    reasons: tuple[str, ...]
    milliseconds: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Share of keyframes among the frames, 0 to 1."""
        return float(np.mean(self.ages == 0))

    def counts(self, matrices: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the (K, K) sum of those of (T, D, K, K) matrices that the schedule chooses."""
        chosen = matrices[np.arange(len(self.ages)), self.ages]
        return np.asarray(chosen.sum(axis=0), np.float64)


def run_policy(
    table: KeyframeAgeTable,
    policy: KeyframePolicy,
    quality_model: QualityModel,
    costs: FrameCosts,
    corrected: bool = True,
) -> Schedule:
    """Return the schedule of a policy; frames beyond the table's distances are keyframes.

    Args:
        table: keyframe-age table of the video.
        policy: the policy, asked in the same order as by a stream.
        quality_model: model that estimates the disagreement.
        costs: times of frames.
        corrected: whether keyframes correct the later estimates, as they do in a stream.
    """
    ages = np.zeros(len(table), np.intp)
    true = disagreement(table)
    milliseconds = np.full(len(table), costs.keyframe_ms)
    reasons = ["first"]
    policy.observe(True, costs.keyframe_ms)
    quality = FrameQuality()
    for frame in range(1, len(table)):
        age = quality.age + 1
        reason = policy.due(age) or ("interval" if age >= table.num_distances else "")
        milliseconds[frame] = costs.keyframe_ms if reason else costs.propagated_ms
        if not reason:
            signals = table.signals[frame, age].astype(np.float64)
            quality = quality.after(quality_model, signals if signals.any() else None)
            reason = "cut" if quality.is_cut else policy.judge(quality)
            if reason:
                milliseconds[frame] += costs.keyframe_ms
                quality = quality.renewed(float(true[frame, age]) if corrected else None)
        if reason:
            quality = quality.renewed()
        ages[frame] = quality.age
        reasons.append(reason)
        policy.observe(bool(reason), float(milliseconds[frame]))
    return Schedule(ages, tuple(reasons), milliseconds)


def fixed_schedules(table: KeyframeAgeTable, interval: int, costs: FrameCosts) -> list[Schedule]:
    """Return the schedules of a fixed interval, one for every place of the second keyframe."""
    frames = np.arange(len(table))
    found = []
    for phase in range(1, interval + 1):
        ages = np.where(frames < phase, frames, (frames - phase) % interval)
        found.append(scheduled(ages, costs))
    return found


def scheduled(ages: NDArray[np.intp], costs: FrameCosts) -> Schedule:
    """Return the schedule with (T,) ages; no frame is propagated and then made a keyframe."""
    milliseconds = np.where(ages == 0, costs.keyframe_ms, costs.propagated_ms)
    reasons = tuple("interval" if age == 0 else "" for age in ages)
    return Schedule(ages.astype(np.intp), reasons, milliseconds)


def miou(counts: NDArray[np.float64]) -> float:
    """Return the mean IoU in percent of (K, K) counts, over the classes that occur."""
    hit = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    return float(100 * np.mean(hit[union > 0] / union[union > 0]))
