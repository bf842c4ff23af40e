# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Losses that the training of keyframe and of propagation networks share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.outputs.classes import IGNORE_INDEX


def class_weights(
    label_maps: Iterable[NDArray[np.uint8]], num_classes: int, exponent: float
) -> Tensor:
    """Return class weights that make rare classes count more in the cross entropy.

    The weight of a class is its frequency ** -exponent; the mean of all weights is 1.

    Args:
        label_maps: uint8 class ids of any shape, 255 = void (not counted).
        num_classes: number of classes K.
        exponent: 0 gives every class the same weight, 1 every class the same influence.

    Returns:
        (K,) float32 weights on the CPU.

    Raises:
        ValueError: if no pixel is labelled.
    """
    counts = np.zeros(256, np.int64)
    for labels in label_maps:
        counts += np.bincount(labels.ravel(), minlength=256)
    total = int(counts[:num_classes].sum())
    if not total:
        raise ValueError(
            f"expected training labels with class ids 0 to {num_classes - 1}, got void in every "
            "pixel: nothing could be learned; check the label images"
        )
    frequency = counts[:num_classes] / total
    weights = np.maximum(frequency, 1e-5) ** -exponent
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def labelled_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the mean cross entropy over the labelled pixels; 0 where no pixel is labelled.

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64 class ids, 255 = void.
        weights: (K,) float32 class weights.
    """
    if not (labels != IGNORE_INDEX).any():
        # The mean over no pixel would be NaN and end the training; such a batch teaches nothing.
        return 0 * logits.sum()
    return F.cross_entropy(logits, labels, weights, ignore_index=IGNORE_INDEX)


def divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from a teacher's probabilities, mean over all pixels.

    Pixels without a label count too: a teacher knows them.

    Args:
        logits: (N, K, h, w) float32 logits of the network that learns.
        teacher: (N, K, h, w) float32 logits of the teacher.
    """
    terms = F.kl_div(logits.log_softmax(1), teacher.softmax(1), reduction="none")
    return terms.sum(1).mean()
