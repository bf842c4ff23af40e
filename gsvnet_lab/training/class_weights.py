# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights that make rare classes count in the cross entropy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def class_weights(
    label_maps: Iterable[NDArray[np.uint8]], num_classes: int, balance: float
) -> Tensor:
    """Return a weight for every class: its frequency ** -balance, of mean 1.

    Args:
        label_maps: uint8 class ids of any shape, 255 = void.
        num_classes: number of classes K.
        balance: 0 makes all alike.

    Returns:
        (K,) float32.
    """
    counts = np.zeros(256, np.int64)
    for labels in label_maps:
        counts += np.bincount(labels.ravel(), minlength=256)
    frequency = counts[:num_classes] / counts[:num_classes].sum()
    weights = np.maximum(frequency, 1e-5) ** -balance
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))
