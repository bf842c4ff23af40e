# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The CPU backend of `gsvnet_model.ops.changed_cells`: one pass over the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.ops.cpu.loops import compiled


@compiled
def find_changed_cells(
    current: NDArray[np.float32],
    reference: NDArray[np.float32],
    threshold: float,
    moving: NDArray[np.bool_],
) -> None:
    """Mark the cells of images in whose 3x3 surroundings a channel changed.

    A change that the whole image shares, its mean difference, does not count.

    Args:
        current: (N, h, w * C), the channels of a cell beside each other.
        reference: (N, h, w * C), the channels of a cell beside each other.
        threshold: changes above it count, in the unit of the images.
        moving: (N, h, w), written; w at least 2.
    """
    height, width = np.uint64(moving.shape[1]), np.uint64(moving.shape[2])
    num_values = np.uint64(current.shape[2])
    channels = num_values // width
    one, last_row, last_column = np.uint64(1), height - np.uint64(1), width - np.uint64(1)
    means = np.empty(num_values, np.float32)
    changes = np.empty(num_values, np.float32)
    largest = np.empty((moving.shape[1], moving.shape[2]), np.float32)
    around = np.empty(width, np.float32)
    for item in range(len(moving)):
        for i in range(num_values):
            means[i] = 0
        for y in range(height):
            for i in range(num_values):
                means[i] += current[item, y, i] - reference[item, y, i]
        for channel in range(channels):
            total = 0.0
            for x in range(width):
                total += means[x * channels + channel]
            mean = np.float32(total / (height * width))
            for x in range(width):
                means[x * channels + channel] = mean
        for y in range(height):
            for i in range(num_values):
                changes[i] = abs(current[item, y, i] - reference[item, y, i] - means[i])
            for x in range(width):
                most = changes[x * channels]
                for channel in range(one, channels):
                    most = max(most, changes[x * channels + channel])
                largest[y, x] = most
        for y in range(height):
            above = y - one if y > 0 else y
            below = y + one if y < last_row else y
            for x in range(width):
                around[x] = max(max(largest[above, x], largest[y, x]), largest[below, x])
            for x in range(one, last_column):
                most = max(max(around[x - one], around[x]), around[x + one])
                moving[item, y, x] = most > threshold
            moving[item, y, 0] = max(around[0], around[1]) > threshold
            most = max(around[last_column - one], around[last_column])
            moving[item, y, last_column] = most > threshold
