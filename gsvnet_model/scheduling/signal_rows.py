# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The compiled loop behind `frame_signals`: sums over rows of the grid in one pass.

There is no logarithm or exponential in it: both would cost more than everything else together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.compiled_rows import compiled

RESIDUAL_TAIL = 0.5
"""A residual above half a standard deviation of the images is a mistake, no noise."""


@compiled
def add_signal_rows(
    current: NDArray[np.float32],
    previous: NDArray[np.float32],
    warped_previous: NDArray[np.float32],
    flow: NDArray[np.float32],
    previous_logits: NDArray[np.float32],
    warped_logits: NDArray[np.float32],
    intra_logits: NDArray[np.float32],
    logits: NDArray[np.float32],
    mixing: NDArray[np.float32],
    moving: NDArray[np.bool_],
    row_step: int,
    sums: NDArray[np.float64],
) -> None:
    """Add the signals of the moving cells of the rows given, of one stream.

    Convention:
        flow as in `PropagationOutput`; cells outside the previous image are those whose point
        lies more than half a cell beyond its border.

    Args:
        current: (3, r, w) normalised image on the grid, and
        previous: (3, r, w) of the frame before, and
        warped_previous: (3, r, w), warped. Rows 0, row_step, 2 * row_step, ... of the grid.
        flow: (2, r, w), (dx, dy) in cells, the same rows as all that follow.
        previous_logits: (K, r, w), the state before.
        warped_logits: (K, r, w).
        intra_logits: (K, r, w), or (0, r, w) without an intra network.
        logits: (K, r, w), the state after.
        mixing: (S, r, w); the null kernel is the last but one slot with intra logits, else the
            last.
        moving: (r, w), where something moves; other cells add nothing.
        row_step: rows of the grid from one row given to the next.
        sums: (16,), added to; in the order of `SIGNAL_NAMES`.
    """
    rows, width = np.uint64(current.shape[1]), np.uint64(current.shape[2])
    num_slots = np.uint64(mixing.shape[0])
    has_intra = intra_logits.shape[0] > 0
    null_slot = num_slots - np.uint64(2 if has_intra else 1)
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    third = np.float32(1 / 3)
    columns = np.float32(width)
    lines = np.float32(rows * np.uint64(row_step))
    before = np.empty(width, np.int32)
    carried = np.empty(width, np.int32)
    seen = np.empty(width, np.int32)
    now = np.empty(width, np.int32)
    before_margin = np.empty(width, np.float32)
    carried_margin = np.empty(width, np.float32)
    seen_margin = np.empty(width, np.float32)
    now_margin = np.empty(width, np.float32)
    spread = np.empty(width, np.float32)
    for y in range(rows):
        _winners(previous_logits, y, before, before_margin)
        _winners(warped_logits, y, carried, carried_margin)
        _winners(logits, y, now, now_margin)
        if has_intra:
            _winners(intra_logits, y, seen, seen_margin)
        for x in range(width):
            spread[x] = one
        for slot in range(num_slots):
            for x in range(width):
                spread[x] -= mixing[slot, y, x] * mixing[slot, y, x]
        part = np.zeros(16, np.float32)
        for x in range(width):
            if not moving[y, x]:
                continue
            residual, difference = zero, zero
            for c in range(3):
                residual += abs(current[c, y, x] - warped_previous[c, y, x]) * third
                difference += abs(current[c, y, x] - previous[c, y, x]) * third
            across, down = flow[0, y, x], flow[1, y, x]
            place_x = np.float32(x) + across
            place_y = np.float32(y * np.uint64(row_step)) + down
            inside = (
                place_x > -half
                and place_x < columns - half
                and place_y > -half
                and place_y < lines - half
            )
            if inside:
                part[0] += residual
                part[1] += one if residual > np.float32(RESIDUAL_TAIL) else zero
            else:
                part[2] += one
            part[3] += difference
            part[4] += np.sqrt(across * across + down * down) / columns
            if has_intra:
                part[5] += one if seen[x] != carried[x] else zero
                part[6] += seen_margin[x] if seen[x] != now[x] else zero
                part[7] += mixing[num_slots - np.uint64(1), y, x]
            part[8] += mixing[null_slot, y, x]
            part[9] += spread[x]
            part[10] += one if now[x] != carried[x] else zero
            part[11] += one if now[x] != before[x] else zero
            part[12] += before_margin[x] - now_margin[x]
            part[13] += one - now_margin[x]
        for x in range(np.uint64(1), width):
            if not moving[y, x]:
                continue
            part[14] += one if now[x] != now[x - np.uint64(1)] else zero
            part[15] += abs(flow[0, y, x] - flow[0, y, x - np.uint64(1)]) + abs(
                flow[1, y, x] - flow[1, y, x - np.uint64(1)]
            )
        for number in range(np.uint64(16)):
            sums[number] += np.float64(part[number])


@compiled
def _winners(
    logits: NDArray[np.float32],
    y: int,
    winner: NDArray[np.int32],
    margin: NDArray[np.float32],
) -> None:
    """Find the highest class of every cell of a row, and by how much it leads, in 0..1."""
    width = np.uint64(logits.shape[2])
    second = np.empty(logits.shape[2], np.float32)
    for x in range(width):
        margin[x] = -np.inf
        second[x] = -np.inf
        winner[x] = 0
    for k in range(np.uint64(logits.shape[0])):
        for x in range(width):
            value = logits[k, y, x]
            leads = value > margin[x]
            second[x] = margin[x] if leads else max(second[x], value)
            winner[x] = np.int32(k) if leads else winner[x]
            margin[x] = value if leads else margin[x]
    for x in range(width):
        lead = margin[x] - second[x]
        margin[x] = lead / (np.float32(1) + lead)
