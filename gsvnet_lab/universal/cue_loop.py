# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Compiled loop that gathers what a guide without classes sees, on the CPU."""

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.ops.cpu.loops import compiled, f32_to_bf16


@compiled
def _exponential(value: np.float32) -> np.float32:
    """Return exp of a value of 0 or less, good to 1e-6; numba's own is not vectorised."""
    # 2 to the power of a whole number, which is written into the exponent, and of a rest in 0..1.
    power = max(value, np.float32(-80)) * np.float32(1.4426950408889634)
    whole = np.floor(power)
    rest = power - whole
    series = np.float32(0.0018775767)
    series = series * rest + np.float32(0.0089893397)
    series = series * rest + np.float32(0.055826318)
    series = series * rest + np.float32(0.24015361)
    series = series * rest + np.float32(0.69315308)
    series = series * rest + np.float32(0.99999994)
    bits = np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23)
    return np.float32(series * np.uint32(bits).view(np.float32))


@compiled
def fill_cue_rows(
    logits: NDArray[np.float32],
    labels: NDArray[np.int32],
    current: NDArray[np.float32],
    warped_previous: NDArray[np.float32],
    flow: NDArray[np.float32],
    outside: NDArray[np.float32],
    flow_scale: float,
    edge: NDArray[np.float32],
    cues: NDArray[np.generic],
    start: int,
    stop: int,
) -> None:
    """Fill rows of the cues, counted through the batch; see `class_free_cues`.

    Args:
        logits: (N, K, h + 2, w + 2), warped, with a frame of any values.
        labels: (N, h, w), their winning classes.
        current: (N, 3, h, w).
        warped_previous: (N, 3, h, w).
        flow: (N, 2, h, w).
        outside: (N, 1, h, w).
        flow_scale: what the flow is multiplied by.
        edge: (N, 1, h, w), written: `label_edges`.
        cues: (N, h, w, 19), written; float32 or the bits of bfloat16, see `f32_to_bf16`.
        start: first row to fill.
        stop: one past the last row to fill.
    """
    num_classes = np.uint64(logits.shape[1])
    height, width = np.uint64(labels.shape[1]), np.uint64(labels.shape[2])
    one = np.uint64(1)
    scale = np.float32(flow_scale)
    per_entropy = np.float32(1 / np.log(logits.shape[1]))
    errors = np.empty((9, labels.shape[2]), np.float32)
    padded = np.empty(labels.shape[2] + 2, np.float32)
    first = np.empty(labels.shape[2], np.float32)
    second = np.empty(labels.shape[2], np.float32)
    total = np.empty(labels.shape[2], np.float32)
    lead = np.empty(labels.shape[2], np.float32)
    for row in range(np.uint64(start), np.uint64(stop)):
        item, y = row // height, row % height
        errors[:] = 0
        for dy in range(np.uint64(3)):
            # The row above, this one, the one below; the border is repeated.
            source = y + dy if y + dy == 0 else y + dy - one
            source = min(source, height - one)
            for c in range(np.uint64(3)):
                for x in range(width):
                    padded[x + one] = warped_previous[item, c, source, x]
                padded[0] = padded[1]
                padded[width + one] = padded[width]
                for dx in range(np.uint64(3)):
                    # The identity comes first, then the others row by row.
                    place = dy * np.uint64(3) + dx
                    slot = place + one if place < 4 else place
                    slot = place - place if place == 4 else slot
                    for x in range(width):
                        errors[slot, x] += abs(padded[x + dx] - current[item, c, y, x])
        for x in range(width):
            first[x] = -np.inf
            second[x] = -np.inf
            total[x] = 0
            lead[x] = 0
        for k in range(num_classes):
            for x in range(width):
                value = logits[item, k, y + one, x + one]
                second[x] = max(second[x], min(first[x], value))
                first[x] = max(first[x], value)
        for k in range(num_classes):
            for x in range(width):
                below_first = logits[item, k, y + one, x + one] - first[x]
                exponential = _exponential(below_first)
                total[x] += exponential
                lead[x] -= exponential * below_first
        above = y if y == 0 else y - one
        below = min(y + one, height - one)
        for x in range(width):
            column = np.uint64(x)
            left = column if x == 0 else column - one
            right = min(column + one, width - one)
            label = labels[item, y, x]
            is_edge = (
                labels[item, above, left] != label
                or labels[item, above, x] != label
                or labels[item, above, right] != label
                or labels[item, y, left] != label
                or labels[item, y, right] != label
                or labels[item, below, left] != label
                or labels[item, below, x] != label
                or labels[item, below, right] != label
            )
            edge[item, 0, y, x] = np.float32(1) if is_edge else np.float32(0)
            for match in range(np.uint64(9)):
                error = errors[match, x] * np.float32(1 / 3)
                cues[item, y, x, match] = f32_to_bf16(error, cues)
            for c in range(np.uint64(3)):
                cues[item, y, x, np.uint64(9) + c] = f32_to_bf16(current[item, c, y, x], cues)
            # -sum p log p, with p = exponential / total and log p = -lead - log total.
            highest = np.float32(1) / total[x]
            entropy = lead[x] * highest + np.float32(np.log(total[x]))
            margin = highest - highest * _exponential(second[x] - first[x])
            cues[item, y, x, 12] = f32_to_bf16(highest, cues)
            cues[item, y, x, 13] = f32_to_bf16(margin, cues)
            cues[item, y, x, 14] = f32_to_bf16(entropy * per_entropy, cues)
            cues[item, y, x, 15] = f32_to_bf16(edge[item, 0, y, x], cues)
            cues[item, y, x, 16] = f32_to_bf16(flow[item, 0, y, x] * scale, cues)
            cues[item, y, x, 17] = f32_to_bf16(flow[item, 1, y, x] * scale, cues)
            cues[item, y, x, 18] = f32_to_bf16(outside[item, 0, y, x], cues)
