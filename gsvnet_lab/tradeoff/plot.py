# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The plot of the trade-off: accuracy over throughput, a curve per network and way to run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsvnet_lab.tradeoff.curves import per_frame_curve, propagation_curve
from gsvnet_lab.tradeoff.measure import TradeoffPoint


def plot_tradeoff(points: Sequence[TradeoffPoint], path: Path) -> None:
    """Draw propagation over the intervals and per-frame segmentation over the input scales.

    Args:
        points: what was measured, of any number of weights.
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
