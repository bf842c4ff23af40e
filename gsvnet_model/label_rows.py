# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Compiled loop that fills rows of a label image from logits on a coarse grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.compiled_rows import compiled


@compiled
def _blend(
    planes: NDArray[np.float32], k: int, top: int, bottom: int, down: float, column: int
) -> float:
    """Interpolate class `k` of (K, h, w) `planes` between two grid rows at one grid column."""
    above: float = planes[k, top, column]
    below: float = planes[k, bottom, column]
    return above + down * (below - above)


@compiled
def _level(probability: float) -> np.uint8:
    """Return floor(255 p), 0 for NaN."""
    scaled = np.float32(255) * probability
    return np.uint8(scaled) if scaled > 0 else np.uint8(0)


@compiled
def fill_label_rows(
    logits: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    lower_row: NDArray[np.int64],
    row_weight: NDArray[np.float32],
    first_column: NDArray[np.uint64],
    column_weight: NDArray[np.float32],
    start: int,
    stop: int,
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
) -> None:
    """Fill rows `start` to `stop - 1` of `labels` and `confidence` in place.

    A row of the image is interpolated down the grid's columns first. In the span between two
    neighbouring columns every class is then a straight line, and a class that is highest at both
    ends is highest all along. Only where the ends disagree are classes compared pixel by pixel,
    and of those only the ones that reach the height at which the two winners cross: the highest
    line is never below that.

    Convention:
        Image row y lies between grid rows `lower_row[y]` and the next, at `row_weight[y]` of the
        way; image columns `first_column[j]` to `first_column[j + 1] - 1` lie between grid columns
        j and j + 1, at `column_weight[x]` of the way. The last grid row and column are their own
        neighbours.

    Args:
        logits: (K, h, w) float32, C-contiguous.
        probabilities: (K, h, w) float32 in 0..1, C-contiguous; the softmax of `logits`.
        lower_row: (H,) in 0..h-1.
        row_weight: (H,) in 0..1.
        first_column: (w + 1,) ascending from 0 to W. Unsigned, because an index that may be
            negative keeps the pixel loops from being vectorised (5 times slower).
        column_weight: (W,) in 0..1.
        start: First image row to fill.
        stop: One past the last image row to fill.
        labels: (H, W), written. A class whose interpolated logit is NaN never wins.
        confidence: (H, W), written; floor(255 p) of the label's probability p, 0 where p is NaN.
    """
    num_classes, grid_height, grid_width = logits.shape
    width = labels.shape[1]
    # Grids are powers of two wide as a rule; the pad keeps the classes of one column from
    # evicting each other from the cache.
    blended = np.empty((num_classes, grid_width + 16), np.float32)
    highest = np.empty(grid_width, np.float32)
    winner = np.empty(grid_width, np.uint8)
    span_highest = np.empty(width, np.float32)
    span_winner = np.empty(width, np.int32)
    for y in range(start, stop):
        top = lower_row[y]
        bottom = min(top + 1, grid_height - 1)
        down = row_weight[y]
        highest[:] = -np.inf
        winner[:] = 0
        for k in range(num_classes):
            for j in range(grid_width):
                value = _blend(logits, k, top, bottom, down, j)
                blended[k, j] = value
                if value > highest[j]:
                    highest[j] = value
                    winner[j] = k

        for j in range(grid_width):
            right = min(j + 1, grid_width - 1)
            begin, end = first_column[j], first_column[j + 1]
            label, other = winner[j], winner[right]
            p = _blend(probabilities, label, top, bottom, down, j)
            p_rise = _blend(probabilities, label, top, bottom, down, right) - p
            if label == other:
                for x in range(begin, end):
                    labels[y, x] = label
                    confidence[y, x] = _level(p + column_weight[x] * p_rise)
                continue

            lead = highest[j] - blended[other, j]
            lag = highest[right] - blended[label, right]
            crossing = lead / (lead + lag) if lead + lag > 0 else np.float32(0)
            floor = highest[j] + crossing * (blended[label, right] - highest[j])
            for x in range(begin, end):
                span_highest[x] = -np.inf
                span_winner[x] = label
            for k in range(num_classes):
                value_left, value_right = blended[k, j], blended[k, right]
                if value_left < floor and value_right < floor:
                    continue
                for x in range(begin, end):
                    value = value_left + column_weight[x] * (value_right - value_left)
                    if value > span_highest[x]:
                        span_highest[x] = value
                        span_winner[x] = k
            for x in range(begin, end):
                if span_winner[x] != label:
                    label = span_winner[x]
                    p = _blend(probabilities, label, top, bottom, down, j)
                    p_rise = _blend(probabilities, label, top, bottom, down, right) - p
                labels[y, x] = label
                confidence[y, x] = _level(p + column_weight[x] * p_rise)
