# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The CPU backend of `gsvnet_model.ops.signals`: sums over rows of the grid in one pass.

There is no logarithm or exponential in it: both would cost more than everything else together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.ops.cpu.loops import compiled

NUM_SIGNALS = 9
"""Signals of a step, in the order of `gsvnet_model.scheduling.signals.SIGNAL_NAMES`."""

RESIDUAL_TAIL = 0.5
"""A residual above half a standard deviation of the images is a mistake, no noise."""


@compiled
def add_signal_rows(
    current: NDArray[np.float32],
    previous: NDArray[np.float32],
    warped_previous: NDArray[np.float32],
    flow: NDArray[np.float32],
    previous_logits: NDArray[np.float32],
    warped_labels: NDArray[np.int32],
    logits: NDArray[np.float32],
    moving: NDArray[np.bool_],
    row_step: int,
    array_step: int,
    sums: NDArray[np.float64],
) -> None:
    """Add the signals of the moving cells of rows 0, `row_step`, 2 * `row_step`, ... of a stream.

    Convention:
        the flow is backward, current to previous; cells outside the previous image are those
        whose point lies more than half a cell beyond its border.

    Args:
        current: (3, r, w) normalised image of the current frame on the grid.
        previous: (3, r, w) normalised image of the previous frame on the grid.
        warped_previous: (3, r, w), the previous image warped to the current frame.
        flow: (2, r, w), (dx, dy) in cells.
        previous_logits: (K, r, w), the state of the previous frame.
        warped_labels: (r, w), winning classes of the previous state after the warp.
        logits: (K, r, w), the state of the current frame.
        moving: (r, w), where something moves; other cells add nothing.
        row_step: rows of the grid from one row that counts to the next.
        array_step: rows of the arrays from one to the next; 1 where they hold no others.
        sums: (9,), added to; in the order of `SIGNAL_NAMES`.
    """
    width, step = np.uint64(current.shape[2]), np.uint64(array_step)
    rows = (np.uint64(current.shape[1]) + step - np.uint64(1)) // step
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    third = np.float32(1 / 3)
    columns = np.float32(width)
    lines = np.float32(rows * np.uint64(row_step))
    before = np.empty(width, np.int32)
    now = np.empty(width, np.int32)
    before_margin = np.empty(width, np.float32)
    now_margin = np.empty(width, np.float32)
    second = np.empty(width, np.float32)
    for row in range(rows):
        y = row * step
        _winners(previous_logits, y, before, before_margin, second)
        _winners(logits, y, now, now_margin, second)
        part = np.zeros(NUM_SIGNALS, np.float32)
        for x in range(width):
            if not moving[y, x]:
                continue
            residual, difference = zero, zero
            for c in range(3):
                residual += abs(current[c, y, x] - warped_previous[c, y, x]) * third
                difference += abs(current[c, y, x] - previous[c, y, x]) * third
            across, down = flow[0, y, x], flow[1, y, x]
            place_x = np.float32(x) + across
            place_y = np.float32(row * np.uint64(row_step)) + down
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
            if x > 0:
                part[5] += abs(across - flow[0, y, x - np.uint64(1)]) + abs(
                    down - flow[1, y, x - np.uint64(1)]
                )
            part[6] += one if now[x] != warped_labels[y, x] else zero
            part[7] += one if now[x] != before[x] else zero
            part[8] += before_margin[x] - now_margin[x]
        for number in range(np.uint64(NUM_SIGNALS)):
            sums[number] += np.float64(part[number])


@compiled
def _winners(
    logits: NDArray[np.float32],
    y: np.uint64,
    winner: NDArray[np.int32],
    margin: NDArray[np.float32],
    second: NDArray[np.float32],
) -> None:
    """Find the highest class of every cell of a row, and by how much it leads, in 0..1.

    Args:
        logits: (K, r, w).
        y: the row.
        winner: (w,), written: index of the highest class.
        margin: (w,), written: d / (1 + d), d the lead of the highest class over the second.
        second: (w,), overwritten: room for the second highest logit.
    """
    width = np.uint64(logits.shape[2])
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
