# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Compiled loops of the propagation step on the CPU.

Rows of a batch are counted through: row r is row r % h of item r // h. Indices are unsigned
where they can be: one that may be negative keeps a loop from being vectorised. So do slices,
therefore the inner loops index the whole array.
"""

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.ops.cpu.loops import bf16_to_f32, compiled, f32_to_bf16


@compiled
def warp_rows(
    logits: NDArray[np.float32],
    image: NDArray[np.float32],
    flow: NDArray[np.float32],
    radius: int,
    warped_logits: NDArray[np.float32],
    warped_image: NDArray[np.float32],
    labels: NDArray[np.int32],
    start: int,
    stop: int,
) -> None:
    """Warp logits and image along the flow, and find the winning class, row by row.

    Convention:
        As `backward_warp`: out(x, y) = in(x + dx, y + dy), bilinear, zeros outside.

    Args:
        logits: (N, K, h * w), of the previous frame.
        image: (N, C, h * w), of the previous frame.
        flow: (N, 2, h, w), (dx, dy) in cells. Where it is NaN, 0 is fetched.
        radius: width of the frame around the warped logits, which is not touched.
        warped_logits: (N, K, h + 2 radius, w + 2 radius), written.
        warped_image: (N, C, h, w), written.
        labels: (N, h, w), written: index of the highest warped logit.
        start: first row to fill, counted through the batch.
        stop: one past the last row to fill.
    """
    num_classes, num_channels = np.uint64(logits.shape[1]), np.uint64(image.shape[1])
    height, width = np.uint64(labels.shape[1]), np.uint64(labels.shape[2])
    padding = np.uint64(radius)
    # Per column: the cells that the point lies between (top left, top right, bottom left, bottom
    # right), as indices into a flattened plane, and their weights.
    cells = np.empty((4, labels.shape[2]), np.uint32)
    weights = np.empty((4, labels.shape[2]), np.float32)
    values = np.empty(labels.shape[2], np.float32)
    highest = np.empty(labels.shape[2], np.float32)
    winner = np.empty(labels.shape[2], np.int32)
    for row in range(np.uint64(start), np.uint64(stop)):
        item, y = row // height, row % height
        _find_cells(flow, item, y, cells, weights)
        for x in range(width):
            highest[x] = -np.inf
            winner[x] = 0
        for k in range(num_classes):
            for x in range(width):
                values[x] = (
                    weights[0, x] * logits[item, k, cells[0, x]]
                    + weights[1, x] * logits[item, k, cells[1, x]]
                    + weights[2, x] * logits[item, k, cells[2, x]]
                    + weights[3, x] * logits[item, k, cells[3, x]]
                )
            for x in range(width):
                warped_logits[item, k, y + padding, x + padding] = values[x]
            for x in range(width):
                winner[x] = np.int32(k) if values[x] > highest[x] else winner[x]
                highest[x] = max(values[x], highest[x])
        for x in range(width):
            labels[item, y, x] = winner[x]
        for c in range(num_channels):
            for x in range(width):
                warped_image[item, c, y, x] = (
                    weights[0, x] * image[item, c, cells[0, x]]
                    + weights[1, x] * image[item, c, cells[1, x]]
                    + weights[2, x] * image[item, c, cells[2, x]]
                    + weights[3, x] * image[item, c, cells[3, x]]
                )


@compiled
def _find_cells(
    flow: NDArray[np.float32],
    item: np.uint64,
    y: np.uint64,
    cells: NDArray[np.uint32],
    weights: NDArray[np.float32],
) -> None:
    """Fill in where the points of one row lie; see `warp_rows`."""
    rows, columns = np.float32(flow.shape[2]), np.float32(flow.shape[3])
    zero, one = np.float32(0), np.float32(1)
    for x in range(np.uint64(flow.shape[3])):
        across = np.float32(x) + flow[item, 0, y, x]
        down = np.float32(y) + flow[item, 1, y, x]
        # Everything outside is as good as one cell outside. NaN, which compares false, as well:
        # as an index it could be anything.
        across = across if across > -one else -one
        across = across if across < columns else columns
        down = down if down > -one else -one
        down = down if down < rows else rows
        left, top = np.floor(across), np.floor(down)
        to_right, to_bottom = across - left, down - top
        to_left = one - to_right if left >= zero and left < columns else zero
        to_top = one - to_bottom if top >= zero and top < rows else zero
        to_right = to_right if left + one < columns else zero
        to_bottom = to_bottom if top + one < rows else zero
        right, bottom = min(left + one, columns - one), min(top + one, rows - one)
        left = min(max(left, zero), columns - one)
        top = min(max(top, zero), rows - one)
        # Exact: a grid of more than 2^24 cells would be an image of a gigapixel.
        cells[0, x] = np.uint32(top * columns + left)
        cells[1, x] = np.uint32(top * columns + right)
        cells[2, x] = np.uint32(bottom * columns + left)
        cells[3, x] = np.uint32(bottom * columns + right)
        weights[0, x] = to_top * to_left
        weights[1, x] = to_top * to_right
        weights[2, x] = to_bottom * to_left
        weights[3, x] = to_bottom * to_right


@compiled
def mix_rows(
    warped_logits: NDArray[np.float32],
    intra_logits: NDArray[np.generic],
    scores: NDArray[np.generic],
    kernels: NDArray[np.float32],
    epsilon: float,
    mixing: NDArray[np.float32],
    mixed: NDArray[np.float32],
    start: int,
    stop: int,
) -> None:
    """Normalise the guide's scores and mix the logits with them, row by row.

    Convention:
        As `guided_filter`: kernels are correlated, zeros outside.

    Args:
        warped_logits: (N, K, h + size - 1, w + size - 1), zeros around.
        intra_logits: (N, h, w, K or more), or (N, h, w, 0) without an intra slot; like `scores`
            float32 or the bits of bfloat16, see `bf16_to_f32`.
        scores: (N, h, w, S), not negative; slots identity, D kernels, intra (if any).
        kernels: (D, size, size), size odd.
        epsilon: added to the sum that the scores are divided by.
        mixing: (N, S, h, w), written: the normalised scores.
        mixed: (N, K, h, w), written: the new logits.
        start: first row to fill, counted through the batch.
        stop: one past the last row to fill.
    """
    num_classes, num_slots = np.uint64(mixed.shape[1]), np.uint64(mixing.shape[1])
    height, width = np.uint64(mixed.shape[2]), np.uint64(mixed.shape[3])
    num_kernels, size = np.uint64(kernels.shape[0]), np.uint64(kernels.shape[1])
    has_intra = intra_logits.shape[3] > 0
    taps = np.empty((kernels.shape[1], kernels.shape[1], mixed.shape[3]), np.float32)
    scale = np.empty(mixed.shape[3], np.float32)
    for row in range(np.uint64(start), np.uint64(stop)):
        item, y = row // height, row % height
        for x in range(width):
            total = np.float32(epsilon)
            for slot in range(num_slots):
                total += bf16_to_f32(scores[item, y, x, slot])
            scale[x] = np.float32(1) / total
        for slot in range(num_slots):
            for x in range(width):
                mixing[item, slot, y, x] = bf16_to_f32(scores[item, y, x, slot]) * scale[x]
        # One kernel per cell, from its share of the bank.
        for top in range(size):
            for left in range(size):
                is_centre = top == size // 2 and left == size // 2
                for x in range(width):
                    taps[top, left, x] = mixing[item, 0, y, x] if is_centre else np.float32(0)
                for kernel in range(num_kernels):
                    value = kernels[kernel, top, left]
                    if value != 0:
                        for x in range(width):
                            taps[top, left, x] += value * mixing[item, kernel + 1, y, x]
        for k in range(num_classes):
            for x in range(width):
                mixed[item, k, y, x] = 0
            if has_intra:
                for x in range(width):
                    intra = bf16_to_f32(intra_logits[item, y, x, k])
                    mixed[item, k, y, x] = mixing[item, num_slots - 1, y, x] * intra
            for top in range(size):
                for left in range(size):
                    for x in range(width):
                        mixed[item, k, y, x] += (
                            taps[top, left, x] * warped_logits[item, k, y + top, x + left]
                        )


@compiled
def upsampled_sum_rows(
    products: NDArray[np.generic],
    bias: NDArray[np.float32],
    rows: NDArray[np.uint64],
    row_weights: NDArray[np.float32],
    columns: NDArray[np.uint64],
    column_weights: NDArray[np.float32],
    added: NDArray[np.generic],
    out: NDArray[np.generic],
    start: int,
    stop: int,
) -> None:
    """Finish a 3x3 convolution of an upsampled map from its per-tap products, row by row.

    Convention:
        See `upsampled_taps` for where the large map lies on the small one. It is zero outside.

    Args:
        products: (3, N * h', w' * 3 * C), per tap row the small map times the weights of its
            taps; like `added` and `out` float32 or the bits of bfloat16, see `bf16_to_f32`.
        bias: (C,).
        rows: (h, 6) and
        row_weights: (h, 6), of `upsampled_taps`.
        columns: (w, 6) and
        column_weights: (w, 6), of `upsampled_taps`.
        added: (N * h, w * C), or (0, w * C) for nothing to add.
        out: (N * h, w * C), written: the convolution, negative values replaced by 0, plus
            `added`.
        start: first row to fill, counted through the batch.
        stop: one past the last row to fill.
    """
    height, width = np.uint64(len(rows)), np.uint64(len(columns))
    channels = np.uint64(len(bias))
    small_height = np.uint64(products.shape[1] * len(rows) // len(out))
    # What the three rows of taps add up to in one row, before the columns are upsampled.
    sums = np.empty(products.shape[2], np.float32)
    by_column = sums.reshape((-1, 3 * len(bias)))
    values = np.empty((len(columns), len(bias)), np.float32)
    flat_values = values.reshape(-1)
    for row in range(np.uint64(start), np.uint64(stop)):
        first, y = row // height * small_height, row % height
        top_0, top_1, top_2 = first + rows[y, 0], first + rows[y, 2], first + rows[y, 4]
        bottom_0, bottom_1, bottom_2 = first + rows[y, 1], first + rows[y, 3], first + rows[y, 5]
        up_0, up_1, up_2 = row_weights[y, 0], row_weights[y, 2], row_weights[y, 4]
        down_0, down_1, down_2 = row_weights[y, 1], row_weights[y, 3], row_weights[y, 5]
        for j in range(np.uint64(len(sums))):
            sums[j] = (
                up_0 * bf16_to_f32(products[0, top_0, j])
                + down_0 * bf16_to_f32(products[0, bottom_0, j])
                + up_1 * bf16_to_f32(products[1, top_1, j])
                + down_1 * bf16_to_f32(products[1, bottom_1, j])
                + up_2 * bf16_to_f32(products[2, top_2, j])
                + down_2 * bf16_to_f32(products[2, bottom_2, j])
            )
        for x in range(width):
            left_0, left_1, left_2 = columns[x, 0], columns[x, 2], columns[x, 4]
            right_0, right_1, right_2 = columns[x, 1], columns[x, 3], columns[x, 5]
            back_0, back_1, back_2 = (
                column_weights[x, 0],
                column_weights[x, 2],
                column_weights[x, 4],
            )
            on_0, on_1, on_2 = column_weights[x, 1], column_weights[x, 3], column_weights[x, 5]
            for c in range(channels):
                values[x, c] = (
                    bias[c]
                    + back_0 * by_column[left_0, c]
                    + on_0 * by_column[right_0, c]
                    + back_1 * by_column[left_1, channels + c]
                    + on_1 * by_column[right_1, channels + c]
                    + back_2 * by_column[left_2, channels + channels + c]
                    + on_2 * by_column[right_2, channels + channels + c]
                )
        if len(added) == 0:
            for j in range(np.uint64(out.shape[1])):
                out[row, j] = f32_to_bf16(max(flat_values[j], np.float32(0)), out)
        else:
            for j in range(np.uint64(out.shape[1])):
                value = max(flat_values[j], np.float32(0)) + bf16_to_f32(added[row, j])
                out[row, j] = f32_to_bf16(value, out)
