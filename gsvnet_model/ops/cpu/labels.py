# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Compiled loop that fills rows of a label image from logits on a coarse grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.ops.cpu.loops import compiled


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

    Bilinear interpolation stays between the values at a cell's four corners. So a class that is
    highest at all of them is highest all over the cell: such cells are settled, and their label
    is the same in all image rows between two grid rows. In the others, the contested ones, a
    class can only win if its highest corner reaches the lowest corner of every other class:
    these candidates, two or three as a rule, are compared pixel by pixel.

    Convention:
        Image row y lies between grid rows `lower_row[y]` and the next, at `row_weight[y]` of the
        way; image columns `first_column[j]` to `first_column[j + 1] - 1` lie between grid columns
        j and j + 1, at `column_weight[x]` of the way. The last grid row and column are their own
        neighbours.

    Args:
        logits: (K, h, w) float32, C-contiguous.
        probabilities: (K, h, w) float32 in 0..1, C-contiguous; the softmax of `logits`.
        lower_row: (H,) in 0..h-1, ascending.
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
    # The grid rows above and below an image row; even rows first, odd ones second. Grids are
    # powers of two wide as a rule; the pad keeps the classes of one column from evicting each
    # other from the cache.
    rows = np.empty((2, num_classes, grid_width + 16), np.float32)
    highest = np.empty(grid_width, np.float32)
    winners = np.empty((2, grid_width), np.uint8)
    # Of settled cells, per pixel: label, and its probability on the grid rows above and below.
    settled = np.zeros(width, np.uint8)
    settled_p = np.zeros((2, width), np.float32)
    # Of contested cells: column, and candidates one cell after the other with logits and
    # probabilities at the corners (top left, top right, bottom left, bottom right).
    contested = np.empty(grid_width, np.uint64)
    first_candidate = np.empty(grid_width + 1, np.int64)
    candidates = np.empty(grid_width * num_classes, np.int32)
    corners = np.empty((grid_width * num_classes, 2, 4), np.float32)
    span_highest = np.empty(width, np.float32)
    span_winner = np.empty(width, np.int32)
    span_p = np.empty(width, np.float32)
    top, loaded, num_contested = -1, -1, 0
    for y in range(start, stop):
        if lower_row[y] != top:
            top = lower_row[y]
            bottom = min(top + 1, grid_height - 1)
            if loaded != top:
                _load_row(logits, top, rows[top % 2], highest, winners[top % 2])
            if bottom != top:
                _load_row(logits, bottom, rows[bottom % 2], highest, winners[bottom % 2])
            loaded = bottom
            num_contested, num_candidates = 0, 0
            for j in range(grid_width):
                right = min(j + 1, grid_width - 1)
                label = winners[top % 2, j]
                if (
                    winners[top % 2, right] == label
                    and winners[bottom % 2, j] == label
                    and winners[bottom % 2, right] == label
                ):
                    for side, row in ((0, top), (1, bottom)):
                        p = probabilities[label, row, j]
                        p_rise = probabilities[label, row, right] - p
                        for x in range(first_column[j], first_column[j + 1]):
                            settled_p[side, x] = p + column_weight[x] * p_rise
                    for x in range(first_column[j], first_column[j + 1]):
                        settled[x] = label
                    continue
                contested[num_contested] = j
                first_candidate[num_contested] = num_candidates
                num_contested += 1
                num_candidates = _add_candidates(
                    rows[top % 2], rows[bottom % 2], j, right, num_candidates, candidates, corners
                )
                for candidate in range(first_candidate[num_contested - 1], num_candidates):
                    k = candidates[candidate]
                    corners[candidate, 1, 0] = probabilities[k, top, j]
                    corners[candidate, 1, 1] = probabilities[k, top, right]
                    corners[candidate, 1, 2] = probabilities[k, bottom, j]
                    corners[candidate, 1, 3] = probabilities[k, bottom, right]
            first_candidate[num_contested] = num_candidates
        down = row_weight[y]
        for x in range(np.uint64(width)):
            labels[y, x] = settled[x]
        for x in range(np.uint64(width)):
            confidence[y, x] = _level(settled_p[0, x] + down * (settled_p[1, x] - settled_p[0, x]))
        for cell in range(num_contested):
            begin = first_column[contested[cell]]
            end = first_column[contested[cell] + np.uint64(1)]
            for x in range(begin, end):
                span_highest[x] = -np.inf
                span_winner[x] = 0
                span_p[x] = 0
            for candidate in range(first_candidate[cell], first_candidate[cell + 1]):
                value, rise = _line(corners, candidate, 0, down)
                p, p_rise = _line(corners, candidate, 1, down)
                label = candidates[candidate]
                # Written whether it wins or not: so the loop is vectorised.
                for x in range(begin, end):
                    here, p_here = value + column_weight[x] * rise, p + column_weight[x] * p_rise
                    wins = here > span_highest[x]
                    span_highest[x] = here if wins else span_highest[x]
                    span_winner[x] = label if wins else span_winner[x]
                    span_p[x] = p_here if wins else span_p[x]
            for x in range(begin, end):
                labels[y, x] = span_winner[x]
                confidence[y, x] = _level(span_p[x])


@compiled
def _load_row(
    logits: NDArray[np.float32],
    row: int,
    values: NDArray[np.float32],
    highest: NDArray[np.float32],
    winner: NDArray[np.uint8],
) -> None:
    """Copy a grid row of (K, h, w) `logits`, and find each cell's winning class; NaN never wins."""
    for j in range(np.uint64(len(winner))):
        highest[j] = -np.inf
        winner[j] = 0
    for k in range(logits.shape[0]):
        for j in range(np.uint64(len(winner))):
            values[k, j] = logits[k, row, j]
        for j in range(np.uint64(len(winner))):
            wins = values[k, j] > highest[j]
            highest[j] = values[k, j] if wins else highest[j]
            winner[j] = np.uint8(k) if wins else winner[j]


@compiled
def _add_candidates(
    above: NDArray[np.float32],
    below: NDArray[np.float32],
    left: int,
    right: int,
    count: int,
    candidates: NDArray[np.int32],
    corners: NDArray[np.float32],
) -> int:
    """Add a cell's candidates and their logits to the `count` that are there; return how many."""
    floor = np.float32(-np.inf)
    for k in range(len(above)):
        lowest = min(min(above[k, left], above[k, right]), min(below[k, left], below[k, right]))
        if lowest > floor:
            floor = lowest
    for k in range(len(above)):
        highest = max(max(above[k, left], above[k, right]), max(below[k, left], below[k, right]))
        if highest >= floor:
            candidates[count] = k
            corners[count, 0, 0], corners[count, 0, 1] = above[k, left], above[k, right]
            corners[count, 0, 2], corners[count, 0, 3] = below[k, left], below[k, right]
            count += 1
    return count


@compiled
def _line(
    corners: NDArray[np.float32], candidate: int, kind: int, down: np.float32
) -> tuple[np.float32, np.float32]:
    """Return a value at the left edge of a cell, `down` of the way to the bottom, and its rise."""
    values = corners[candidate, kind]
    left = values[0] + down * (values[2] - values[0])
    right = values[1] + down * (values[3] - values[1])
    return left, right - left


@compiled
def _level(probability: float) -> np.uint8:
    """Return floor(255 p), 0 for NaN."""
    scaled = np.float32(255) * probability
    return np.uint8(scaled) if scaled > 0 else np.uint8(0)
