# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The confusion matrix against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gsvnet_lab.evaluation.metrics import ConfusionMatrix, pooled


def test_iou_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
    labels = np.array([[0, 1, 1, 1], [2, 255, 0, 1]], np.uint8)
    matrix = ConfusionMatrix(4)
    matrix.update(labels, truth)
    iou = matrix.iou()
    assert iou[:3] == pytest.approx([1 / 2, 2 / 3, 1 / 2])
    assert np.isnan(iou[3])
    assert matrix.miou() == pytest.approx(100 * (1 / 2 + 2 / 3 + 1 / 2) / 3)
    assert matrix.pixel_accuracy() == pytest.approx(100 * 4 / 6)


def test_pooling_is_the_sum_of_pixels_not_the_mean_of_scores() -> None:
    first, second = ConfusionMatrix(2), ConfusionMatrix(2)
    first.update(np.array([[0, 1]], np.uint8), np.array([[0, 1]], np.uint8))
    second.update(np.zeros((1, 8), np.uint8), np.ones((1, 8), np.uint8))
    assert pooled([first, second]).iou() == pytest.approx([1 / 9, 1 / 9])


def test_exception() -> None:
    with pytest.raises(ValueError, match="shape"):
        ConfusionMatrix(2).update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="at least one"):
        pooled([])
    assert np.isnan(ConfusionMatrix(3).miou())
