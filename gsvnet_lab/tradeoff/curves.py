# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Curves of accuracy over throughput, their plot, and by how much one lies above another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsvnet_lab.tradeoff.measure import TradeoffPoint


@dataclass(frozen=True)
class Lead:
    """How far propagation lies above a per-frame network at some throughput.

    Attributes:
        weights: name of the per-frame network's weights.
        miou: lead in points of mIoU; negative where the per-frame network is ahead, None if it is
            not as fast at any scale.
        frames_per_s: the throughput, frames per second.
    """

    weights: str
    miou: float | None
    frames_per_s: float


def propagation_curve(points: Sequence[TradeoffPoint], weights: str) -> list[TradeoffPoint]:
    """Return the points of the weights' own input scale over the intervals, slow to fast.

    Per-frame segmentation at that scale, interval 1, belongs to it.

    Raises:
        ValueError: if no interval above 1 was measured with the weights.
    """
    of_weights = [point for point in points if point.contestant.weights == weights]
    scales = {point.contestant.scale for point in of_weights if point.contestant.interval > 1}
    if len(scales) != 1:
        raise ValueError(
            f"expected propagation with {weights} at one input scale, got scales {sorted(scales)}"
        )
    return _slow_to_fast([point for point in of_weights if point.contestant.scale in scales])


def per_frame_curve(points: Sequence[TradeoffPoint], weights: str) -> list[TradeoffPoint]:
    """Return the per-frame points of some weights over the input scales, slow to fast."""
    return _slow_to_fast(
        [
            point
            for point in points
            if point.contestant.weights == weights and point.contestant.interval == 1
        ]
    )


def accuracy_at(curve: Sequence[TradeoffPoint], frames_per_s: float) -> float | None:
    """Return the best mIoU in percent of a curve at a throughput or more.

    The curve is linear between its points. A fast network can also be run slowly: where a faster
    point is more accurate, or there is no slower point, the accuracy of the faster point counts.

    Args:
        curve: points from slow to fast.
        frames_per_s: the throughput that is needed, frames per second.

    Returns:
        None if no point of the curve is that fast.
    """
    faster = [point.miou for point in curve if point.frames_per_s >= frames_per_s]
    if not faster:
        return None
    return max(_interpolated(curve, frames_per_s), *faster)


def smallest_lead(ours: Sequence[TradeoffPoint], other: Sequence[TradeoffPoint]) -> Lead:
    """Return where a propagation curve leads a per-frame curve least.

    Args:
        ours: points from slow to fast, at least one; the throughputs between its ends count.
        other: per-frame points from slow to fast, at least one.
    """
    low, high = ours[0].frames_per_s, ours[-1].frames_per_s
    leads = []
    # Both curves are linear between these throughputs.
    for rate in sorted({point.frames_per_s for point in (*ours, *other)}):
        theirs = accuracy_at(other, rate)
        if low <= rate <= high and theirs is not None:
            leads.append((_interpolated(ours, rate) - theirs, rate))
    weights = other[0].contestant.weights
    if not leads:
        return Lead(weights, None, low)
    lead, rate = min(leads)
    return Lead(weights, lead, rate)


def lead_at_interval(points: Sequence[TradeoffPoint], weights: str, interval: int) -> Lead:
    """Return how far propagation leads the same network per frame at equal throughput.

    Args:
        points: measured points.
        weights: name of the weights.
        interval: keyframe interval whose throughput is the one compared at.

    Raises:
        ValueError: if that interval was not measured.
    """
    for point in propagation_curve(points, weights):
        if point.contestant.interval == interval:
            theirs = accuracy_at(per_frame_curve(points, weights), point.frames_per_s)
            lead = None if theirs is None else point.miou - theirs
            return Lead(weights, lead, point.frames_per_s)
    raise ValueError(f"expected interval {interval} among the points of {weights}")


def _interpolated(curve: Sequence[TradeoffPoint], frames_per_s: float) -> float:
    rates = [point.frames_per_s for point in curve]
    return float(np.interp(frames_per_s, rates, [point.miou for point in curve]))


def _slow_to_fast(points: Sequence[TradeoffPoint]) -> list[TradeoffPoint]:
    return sorted(points, key=lambda point: point.frames_per_s)


def plot_tradeoff(points: Sequence[TradeoffPoint], path: Path) -> None:
    """Draw propagation over the intervals and per-frame segmentation over the input scales.

    Args:
        points: measured points of any number of weights.
        path: image file to write; the suffix names the format.

    See:
        Paper's supplement, figure A5.
    """
    from matplotlib.figure import Figure  # slow to import, and most commands draw nothing

    figure = Figure(figsize=(7.5, 5.0), layout="constrained")
    axes = figure.subplots()
    names = dict.fromkeys(point.contestant.weights for point in points)
    for number, name in enumerate(names):
        ways = (
            ("-o", f"GSVNet, {name}", propagation_curve(points, name)),
            ("--s", f"per frame, {name}", per_frame_curve(points, name)),
        )
        for style, label, curve in ways:
            rates = [point.frames_per_s for point in curve]
            scores = [point.miou for point in curve]
            axes.plot(rates, scores, style, color=f"C{number}", markersize=4, label=label)
            for point in curve:
                contestant = point.contestant
                over_intervals = style == "-o"
                axes.annotate(
                    f"l={contestant.interval}" if over_intervals else f"{contestant.scale:.3g}",
                    (point.frames_per_s, point.miou),
                    (4, 4 if over_intervals else -9),
                    textcoords="offset points",
                    fontsize="x-small",
                    color=f"C{number}",
                )
    axes.set_xlabel("frames/s of one stream")
    axes.set_ylabel("average mIoU %")
    axes.grid(color="0.9")
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
