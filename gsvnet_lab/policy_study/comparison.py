# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Accuracy by share of keyframes: of policies, fixed intervals and the best schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.policy_study.baselines import DisagreementPolicy, FrameDifferencePolicy
from gsvnet_lab.policy_study.best_schedule import best_ages, foreseen_ages
from gsvnet_lab.policy_study.keyframe_age_table import (
    GIVEN,
    KeyframeAgeTable,
    disagreement,
    with_estimates,
)
from gsvnet_lab.policy_study.schedule import (
    FrameCosts,
    Schedule,
    fixed_schedules,
    miou,
    run_policy,
    scheduled,
)
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.budget import BudgetPolicy
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.scheduling.quality import QualityModel

INTERVALS = (2, 3, 4, 5, 6, 7, 8)
"""Schedules are compared at the shares of keyframes that these fixed intervals have."""

_FORESEEN = 8
"""Frames in sight of the schedule that shows what knowing some of the future is worth."""

_POINTS = 60
_WINDOW = 0.12
"""Points of a curve whose logarithm of the share is this near count for a share: one threshold
may be lucky where another is not."""


@dataclass(frozen=True)
class Point:
    """Cost and accuracy of one setting of a policy.

    Attributes:
        setting: the policy's threshold, price or target.
        share: share of keyframes among the frames, 0 to 1.
        frame_ms: mean milliseconds per frame.
        accuracy: mIoU in percent; mIoU with a keyframe's labels where there is no truth.
    """

    setting: float
    share: float
    frame_ms: float
    accuracy: float


@dataclass(frozen=True)
class Comparison:
    """Results on one group of videos. Tuples have one entry for each of `INTERVALS`.

    Attributes:
        shares: share of keyframes of the fixed interval.
        fixed: accuracy of the fixed interval, pooled over all frames it can start at.
        fixed_ms: mean milliseconds per frame of the fixed interval.
        best: accuracy of the best schedule found with the labels.
        best_by_agreement: accuracy of the schedule whose labels agree best with those of a
            keyframe on every frame. What the best schedule gains above it is that keyframes err
            more in one frame than in the next, which only the labels tell.
        curves: points of every policy, by its name.
    """

    shares: tuple[float, ...]
    fixed: tuple[float, ...]
    fixed_ms: tuple[float, ...]
    best: tuple[float, ...]
    best_by_agreement: tuple[float, ...]
    curves: Mapping[str, tuple[Point, ...]]

    def gain(self, policy: str) -> NDArray[np.float64]:
        """Return by how much a policy exceeds fixed intervals at each share, points of mIoU."""
        return np.array([self.accuracy_at(policy, share) for share in self.shares]) - self.fixed

    def best_gain(self) -> NDArray[np.float64]:
        """Return by how much the best schedule exceeds fixed intervals, points of mIoU."""
        return np.subtract(self.best, self.fixed)

    def gain_by_agreement(self) -> NDArray[np.float64]:
        """Return by how much the schedule of best agreement exceeds fixed intervals, points."""
        return np.subtract(self.best_by_agreement, self.fixed)

    def of_best(self, gain: NDArray[np.float64]) -> float:
        """Return the mean of a gain divided by the mean gain of the best schedule, at most 1."""
        return float(gain.sum() / self.best_gain().sum())

    def reached(self, policy: str) -> float:
        """Return a policy's mean gain divided by the best schedule's, at most 1."""
        return self.of_best(self.gain(policy))

    def figures(self) -> dict[str, object]:
        """Return everything but the single points, for a file: accuracies and gains by share."""
        gains = {policy: self.gain(policy) for policy in self.curves}
        return {
            "shares": _rounded(self.shares),
            "fixed": _rounded(self.fixed),
            "fixed_ms": _rounded(self.fixed_ms),
            "best": _rounded(self.best),
            "best_by_agreement": _rounded(self.best_by_agreement),
            "gain": {policy: _rounded(gain) for policy, gain in gains.items()},
            "of_best_gain": {
                "best agreement": round(self.of_best(self.gain_by_agreement()), 3),
                **{policy: round(self.of_best(gain), 3) for policy, gain in gains.items()},
            },
        }

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
    tables: Sequence[KeyframeAgeTable],
    quality_model: QualityModel,
    costs: FrameCosts,
    perfect: Sequence[KeyframeAgeTable] | None = None,
) -> Comparison:
    """Judge all policies on videos, pooled.

    Args:
        tables: keyframe-age tables of the videos.
        quality_model: model that estimates the disagreement in a stream.
        costs: times of frames.
        perfect: tables of the same videos with perfect keyframes. Schedules are then made from
            `tables` and judged on `perfect`.
    """
    judged = list(perfect or tables)
    matrices = [table.truth if table.truth.any() else table.agreement for table in judged]
    agreements = [table.agreement for table in judged]
    longest = min(table.num_distances for table in tables)

    def score(schedules: Sequence[Schedule]) -> tuple[float, float, float]:
        pairs = zip(schedules, matrices, strict=True)
        ages = np.concatenate([schedule.ages for schedule in schedules])
        times = np.concatenate([schedule.milliseconds for schedule in schedules])
        counts = np.sum([schedule.counts(each) for schedule, each in pairs], axis=0)
        return float(np.mean(ages == 0)), float(times.mean()), miou(counts)

    shares, fixed, fixed_ms = [], [], []
    best: list[float] = []
    by_agreement: list[float] = []
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
        starts = np.concatenate([schedules[-1].ages for schedules in by_video])
        number = max(len(tables), round(shares[-1] * len(starts)))
        joined = _joined(matrices)
        for accuracies, aim in ((best, joined), (by_agreement, _joined(agreements))):
            found = best_ages(aim, number, starts)
            chosen = joined[np.arange(len(found)), found].sum(axis=0)
            accuracies.append(miou(chosen.astype(np.float64)))

    def curve(
        make: Callable[[float], KeyframePolicy],
        settings: NDArray[np.float64],
        estimates: Sequence[NDArray[np.float64]] | None = None,
    ) -> tuple[Point, ...]:
        """Return the points of a policy, on estimates other than the quality model's if given."""
        model, seen = quality_model, list(tables)
        if estimates is not None:
            model = GIVEN
            seen = [with_estimates(*pair) for pair in zip(tables, estimates, strict=True)]
        points = []
        for setting in settings:
            policies = [make(float(setting)) for _ in seen]
            schedules = [
                run_policy(table, policy, model, costs, corrected=estimates is None)
                for table, policy in zip(seen, policies, strict=True)
            ]
            points.append(Point(float(setting), *score(schedules)))
        return tuple(points)

    def adaptive(threshold: float) -> KeyframePolicy:
        return AdaptivePolicy(threshold, 1, longest)

    def by_frame(limit: float) -> KeyframePolicy:
        return DisagreementPolicy(limit, longest)

    thresholds = 100 - np.geomspace(0.3, 100, _POINTS)
    sums = np.geomspace(0.02, 20, _POINTS)
    percents = np.geomspace(0.5, 60, _POINTS)
    targets = np.geomspace(1.05 * costs.propagated_ms, costs.keyframe_ms, 25)
    true = [disagreement(table) for table in tables]

    def foreseen(price: float) -> Point:
        ages = [foreseen_ages(each, price, _FORESEEN) for each in true]
        return Point(price, *score([scheduled(each, costs) for each in ages]))

    curves = {
        f"{_FORESEEN} frames foreseen": tuple(
            foreseen(float(price)) for price in np.geomspace(0.5, 300, _POINTS)
        ),
        "adaptive": curve(adaptive, thresholds),
        "adaptive, true disagreement": curve(adaptive, thresholds, true),
        "budget": curve(BudgetPolicy, targets),
        "estimate, frame by frame": curve(by_frame, percents),
        "frame difference": curve(lambda value: FrameDifferencePolicy(value, longest), sums),
    }
    return Comparison(
        tuple(shares), tuple(fixed), tuple(fixed_ms), tuple(best), tuple(by_agreement), curves
    )


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 3) for value in values]


def _joined(matrices: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return the matrices of videos one after the other, where no schedule goes across."""
    longest = min(each.shape[1] for each in matrices)
    return np.concatenate([each[:, :longest] for each in matrices])
