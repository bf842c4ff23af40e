# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Comparisons of keyframe schedules as tables and a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gsvnet_lab.policy_study.comparison import INTERVALS, Comparison
from gsvnet_lab.reporting.model_card import markdown_table

_NOT_PLOTTED = ("adaptive, true disagreement", "estimate, frame by frame")


def comparison_table(comparisons: Mapping[str, Comparison]) -> str:
    """Return a Markdown table: gain over fixed intervals, points of mIoU, by video and policy."""
    rows: list[tuple[object, ...]] = []
    for video, comparison in comparisons.items():
        rows.append((video, "fixed, mIoU", *(f"{value:.1f}" for value in comparison.fixed), ""))
        rows.append((video, "best possible", *_signed(comparison.best_gain()), "1"))
        by_agreement = comparison.gain_by_agreement()
        reached = f"{comparison.of_best(by_agreement):.2f}"
        rows.append((video, "best agreement", *_signed(by_agreement), reached))
        for policy in comparison.curves:
            gain = _signed(comparison.gain(policy))
            rows.append((video, policy, *gain, f"{comparison.reached(policy):.2f}"))
    shares = (f"1/{interval}" for interval in INTERVALS)
    return markdown_table(("video", "schedule", *shares, "of best gain"), rows)


def summary_table(comparisons: Mapping[str, Comparison]) -> str:
    """Return a Markdown table by policy and video: share of the best gain, and lowest gain."""
    policies = list(dict.fromkeys(name for each in comparisons.values() for name in each.curves))
    gains = {
        "best agreement": [each.gain_by_agreement() for each in comparisons.values()],
        **{name: [each.gain(name) for each in comparisons.values()] for name in policies},
    }
    rows = [
        (
            name,
            *(
                f"{each.of_best(gain):.2f} ({gain.min():+.2f})"
                for each, gain in zip(comparisons.values(), of_videos, strict=True)
            ),
        )
        for name, of_videos in gains.items()
    ]
    return markdown_table(("of best gain (lowest gain)", *comparisons), rows)


def plot_comparisons(comparisons: Mapping[str, Comparison], path: Path) -> None:
    """Draw accuracy against the share of keyframes and against milliseconds, a row each."""
    figure = Figure(figsize=(4.2 * len(comparisons), 7.5), layout="constrained")
    axes = np.atleast_2d(figure.subplots(2, len(comparisons), squeeze=False))
    for column, (video, comparison) in enumerate(comparisons.items()):
        by_share, by_time = axes[0, column], axes[1, column]
        by_share.plot(comparison.shares, comparison.fixed, "k.-", label="fixed")
        by_share.plot(comparison.shares, comparison.best, "k--", label="best possible")
        by_share.plot(comparison.shares, comparison.best_by_agreement, "k:", label="best agreement")
        by_time.plot(comparison.fixed_ms, comparison.fixed, "k.-", label="fixed")
        for policy, curve in comparison.curves.items():
            if policy in _NOT_PLOTTED:
                continue
            points = [
                point
                for point in curve
                if comparison.shares[-1] <= point.share <= comparison.shares[0] * 1.2
            ]
            accuracy = [point.accuracy for point in points]
            shares = [comparison.accuracy_at(policy, share) for share in comparison.shares]
            by_share.plot(comparison.shares, shares, ".-", label=policy)
            by_time.plot([point.frame_ms for point in points], accuracy, ".", label=policy)
        by_share.set(title=video, xlabel="share of keyframes", ylabel="mIoU, %")
        by_time.set(xlabel="ms per frame", ylabel="mIoU, %")
        for axis in (by_share, by_time):
            axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _signed(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[str]:
    return [f"{value:+.2f}" for value in values]
