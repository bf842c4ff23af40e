# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The reliability diagram: accuracy over confidence, one panel per keyframe age."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsvnet_lab.evaluation.reliability import NUM_BINS, ReliabilityHistogram

_MIN_SHARE = 1e-4
"""Bins with a smaller share of the pixels say nothing, and their accuracy is not drawn."""


def plot_reliability(histograms: Sequence[ReliabilityHistogram], path: Path) -> None:
    """Draw accuracy and share of the pixels by confidence.

    Args:
        histograms: index = keyframe age in frames.
        path: image file to write; the suffix names the format.

    Raises:
        ValueError: if there is no histogram.
    """
    if not histograms:
        raise ValueError("expected at least one histogram, got none")
    from matplotlib.figure import Figure  # slow to import, and most commands draw nothing

    figure = Figure(figsize=(2.6 * len(histograms), 3.0), layout="constrained")
    panels = figure.subplots(1, len(histograms), sharex=True, sharey=True, squeeze=False)[0]
    for age, (panel, histogram) in enumerate(zip(panels, histograms, strict=True)):
        bins = histogram.bins()
        total = sum(entry.pixels for entry in bins)
        panel.plot((0, 1), (0, 1), color="0.6", linewidth=1)
        panel.bar(
            [entry.confidence for entry in bins],
            [entry.pixels / total for entry in bins],
            width=1 / NUM_BINS,
            color="0.85",
            label="share of the pixels",
        )
        filled = [entry for entry in bins if entry.pixels >= _MIN_SHARE * total]
        panel.plot(
            [entry.confidence for entry in filled],
            [entry.accuracy for entry in filled],
            marker="o",
            markersize=3,
            label="accuracy",
        )
        error = histogram.expected_calibration_error()
        panel.set_title(f"age {age}: ECE {error:.3f}", fontsize="medium")
        panel.set_xlabel("confidence")
        panel.set_aspect("equal")
    panels[0].set_ylabel("share")
    panels[0].legend(fontsize="x-small", loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
