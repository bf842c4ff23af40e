# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Accuracy against the share of keyframes: policies, fixed intervals and the best there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.budget import BudgetPolicy
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.scheduling_evaluation.baselines import (
    DisagreementPolicy,
    FlowScorePolicy,
    FrameDifferencePolicy,
)
from gsvnet_model.scheduling_evaluation.best_schedule import best_ages
from gsvnet_model.scheduling_evaluation.pair_table import PairTable
from gsvnet_model.scheduling_evaluation.schedule import (
    FrameCosts,
    Schedule,
    fixed_schedules,
    miou,
    run_policy,
)

INTERVALS = (2, 3, 4, 5, 6, 7, 8)
"""Schedules are compared at the shares of keyframes that these fixed intervals have."""

_POINTS = 60
_WINDOW = 0.12
"""Points of a curve whose logarithm of the share is this near count for a share: one threshold
may be lucky where another is not."""


@dataclass(frozen=True)
class Point:
    """What one setting of a policy gives.

    Attributes:
        setting: what the policy was told.
        share: of keyframes.
        frame_ms: mean milliseconds per frame.
        accuracy: mIoU in percent, or of agreement where there is no truth.
    """

    setting: float
    share: float
    frame_ms: float
    accuracy: float


@dataclass(frozen=True)
class Comparison:
    """One video.

    Attributes:
        shares: of keyframes, by interval.
        fixed: accuracy of fixed intervals, pooled over when they start.
        best: accuracy of the best schedule found with the labels.
        curves: points by policy.
    """

    shares: tuple[float, ...]
    fixed: tuple[float, ...]
    fixed_ms: tuple[float, ...]
    best: tuple[float, ...]
    curves: Mapping[str, tuple[Point, ...]]

    def gain(self, policy: str) -> NDArray[np.float64]:
        """Return by how much a policy exceeds fixed intervals at each share, points."""
        return np.array([self.accuracy_at(policy, share) for share in self.shares]) - self.fixed

    def best_gain(self) -> NDArray[np.float64]:
        """Return by how much the best schedule exceeds fixed intervals, points."""
        return np.subtract(self.best, self.fixed)

    def reached(self, policy: str) -> float:
        """Return a policy's mean gain over the best schedule's, 1 at most."""
        return float(self.gain(policy).sum() / self.best_gain().sum())

    def accuracy_at(self, policy: str, share: float) -> float:
        """Return the accuracy of a policy at a share of keyframes, from the points around it."""
        points = self.curves[policy]
        place = np.log([point.share for point in points]) - np.log(share)
        accuracy = np.array([point.accuracy for point in points])
        near = np.abs(place) < _WINDOW
        if not (near & (place <= 0)).any() or not (near & (place >= 0)).any():
            order = np.argsort(place, kind="stable")
            return float(np.interp(0.0, place[order], accuracy[order]))
        # A line through the neighbours, so that those on one side do not tilt the value.
        degree = 1 if near.sum() > 2 else 0
        return float(np.polyfit(place[near], accuracy[near], degree)[-1])


def compare(
    tables: Sequence[PairTable],
    quality_model: QualityModel,
    flow_model: QualityModel,
    costs: FrameCosts,
    perfect: Sequence[PairTable] | None = None,
) -> Comparison:
    """Judge all policies on videos, pooled.

    Args:
        tables: of the videos.
        quality_model: what the stream uses.
        flow_model: what `FlowScorePolicy` uses.
        costs: milliseconds of frames.
        perfect: tables of the same videos with perfect keyframes; schedules are then made from
            `tables` and judged on these.
    """
    judged = list(perfect or tables)
    matrices = [table.truth if table.truth.any() else table.agreement for table in judged]
    longest = min(table.num_distances for table in tables)

    def score(schedules: Sequence[Schedule]) -> tuple[float, float, float]:
        pairs = zip(schedules, matrices, strict=True)
        ages = np.concatenate([schedule.ages for schedule in schedules])
        times = np.concatenate([schedule.milliseconds for schedule in schedules])
        counts = np.sum([schedule.counts(each) for schedule, each in pairs], axis=0)
        return float(np.mean(ages == 0)), float(times.mean()), miou(counts)

    shares, fixed, fixed_ms, best = [], [], [], []
    for interval in INTERVALS:
        by_video = [fixed_schedules(table, interval, costs) for table in tables]
        counts = np.sum(
            [
                schedule.counts(each) / interval
                for schedules, each in zip(by_video, matrices, strict=True)
                for schedule in schedules
            ],
            axis=0,
        )
        ages = np.concatenate([s.ages for schedules in by_video for s in schedules])
        times = np.concatenate([s.milliseconds for schedules in by_video for s in schedules])
        shares.append(float(np.mean(ages == 0)))
        fixed.append(miou(counts))
        fixed_ms.append(float(times.mean()))
        joined, starts = _joined(matrices, [schedules[-1].ages for schedules in by_video])
        number = max(len(tables), round(shares[-1] * len(starts)))
        found = best_ages(joined, number, starts)
        chosen = joined[np.arange(len(found)), found].sum(axis=0)
        best.append(miou(chosen.astype(np.float64)))

    def curve(
        make: Callable[[float], KeyframePolicy], settings: NDArray[np.float64]
    ) -> tuple[Point, ...]:
        points = []
        for setting in settings:
            schedules = [
                run_policy(table, make(float(setting)), quality_model, costs) for table in tables
            ]
            points.append(Point(float(setting), *score(schedules)))
        return tuple(points)

    sums = np.geomspace(0.02, 20, _POINTS)
    percents = np.geomspace(0.5, 40, _POINTS)
    targets = np.geomspace(1.05 * costs.propagated_ms, costs.keyframe_ms, 25)
    curves = {
        "adaptive": curve(
            lambda value: AdaptivePolicy(value, 1, longest), 100 - np.geomspace(0.3, 100, _POINTS)
        ),
        "budget": curve(BudgetPolicy, targets),
        "estimate, frame by frame": curve(
            lambda value: DisagreementPolicy(value, longest), percents
        ),
        "frame difference": curve(lambda value: FrameDifferencePolicy(value, longest), sums),
        "flow score": curve(lambda value: FlowScorePolicy(value, longest, flow_model), percents),
    }
    return Comparison(tuple(shares), tuple(fixed), tuple(fixed_ms), tuple(best), curves)


def _joined(
    matrices: Sequence[NDArray[np.int32]], ages: Sequence[NDArray[np.intp]]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the matrices of videos one after the other, where no schedule goes across."""
    longest = min(each.shape[1] for each in matrices)
    whole = np.concatenate([each[:, :longest] for each in matrices])
    return whole, np.concatenate(ages)
