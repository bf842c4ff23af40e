# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Calibration error against numbers made by hand, and the diagram."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gsvnet_lab.evaluation.reliability import ReliabilityHistogram, plot_reliability


def histogram(*entries: tuple[int, int, int]) -> ReliabilityHistogram:
    """Return the histogram of (uint8 confidence, pixels, right pixels) entries."""
    result = ReliabilityHistogram()
    for value, pixels, correct in entries:
        result.counts[value] += pixels
        result.correct[value] += correct
    return result


def test_error_by_hand() -> None:
    # Three bins: 10 pixels at 0.2 of which 5 are right, 30 at 0.8 (right), 60 at 1 (54 right).
    counted = histogram((51, 10, 5), (204, 30, 24), (255, 60, 54))
    expected = (10 * 0.3 + 30 * 0.0 + 60 * 0.1) / 100
    assert counted.expected_calibration_error() == pytest.approx(expected)
    assert counted.mean_confidence() == pytest.approx((10 * 0.2 + 30 * 0.8 + 60) / 100)


def test_over_and_underconfidence_cancel_within_a_bin_only() -> None:
    one_bin = histogram((100, 10, 10), (101, 10, 0))
    mean = (100 + 101) / 2 / 255
    assert one_bin.expected_calibration_error() == pytest.approx(abs(0.5 - mean))
    two_bins = histogram((101, 10, 10), (102, 10, 0))  # 102 / 255 = 6 / 15
    gaps = (1 - 101 / 255, 102 / 255)
    assert two_bins.expected_calibration_error() == pytest.approx(sum(gaps) / 2)


def test_bins_are_of_equal_width_and_closed_at_one() -> None:
    everything = histogram(*((value, 1, 0) for value in range(256)))
    assert [entry.pixels for entry in everything.bins()] == [17] * 14 + [18]
    assert [entry.pixels for entry in everything.bins(1)] == [256]
    assert [entry.pixels for entry in histogram((0, 2, 1), (255, 3, 3)).bins()] == [2, 3]


def test_update_counts_known_pixels() -> None:
    labels = np.array([[0, 1, 2, 0]], np.uint8)
    confidence = np.array([[255, 10, 10, 7]], np.uint8)
    truth = np.array([[0, 1, 1, 255]], np.uint8)
    counted = ReliabilityHistogram()
    counted.update(labels, confidence, truth)
    counted.update(labels, confidence, truth)
    expected = histogram((255, 2, 2), (10, 4, 2))
    np.testing.assert_array_equal(counted.counts, expected.counts)
    np.testing.assert_array_equal(counted.correct, expected.correct)


def test_diagram_has_a_panel_per_age(tmp_path: Path) -> None:
    pictures = []
    for count in (1, 3):
        path = tmp_path / "folder" / f"{count}.png"
        plot_reliability([histogram((51, 10, 5), (255, 60, 54))] * count, path)
        picture = cv2.imread(str(path))
        assert picture is not None
        pictures.append(picture)
    assert pictures[1].shape[1] == pytest.approx(3 * pictures[0].shape[1], rel=0.02)


def test_exceptions(tmp_path: Path) -> None:
    image = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="shape"):
        ReliabilityHistogram().update(image, image[:1], image)
    with pytest.raises(ValueError, match="at least one bin"):
        ReliabilityHistogram().bins(0)
    with pytest.raises(ValueError, match="at least one histogram"):
        plot_reliability([], tmp_path / "none.png")
    assert np.isnan(ReliabilityHistogram().expected_calibration_error())
    assert np.isnan(ReliabilityHistogram().mean_confidence())
