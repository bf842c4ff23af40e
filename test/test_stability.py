# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Flicker against counting by hand, and of real streams."""

from __future__ import annotations

import numpy as np
import pytest
from models import random_model

from gsvnet_model import VideoSegmenter
from gsvnet_model.stability import FlickerCount, measure_flicker
from gsvnet_model.street_drive import StreetDrive


def test_rate_by_hand() -> None:
    count = FlickerCount()
    truth = (np.array([[0, 0, 0, 255, 1]], np.uint8), np.array([[0, 0, 1, 255, 255]], np.uint8))
    labels = (np.array([[2, 0, 0, 0, 0]], np.uint8), np.array([[3, 0, 1, 1, 1]], np.uint8))
    count.update(labels, truth)  # two steady pixels, one of them changes
    assert (count.steady, count.changed) == (2, 1)
    count.update((labels[0], labels[0]), truth)
    assert count.rate() == pytest.approx(25)


def test_equals_a_plain_loop() -> None:
    drive = StreetDrive(11, 96, 128)
    frames = [drive.frame(30 + index) for index in range(5)]
    model = random_model()
    measured = measure_flicker(model, [(frame.image, frame.labels) for frame in frames], (1, 3))
    for interval, rate in measured.items():
        stream = VideoSegmenter(model, interval)
        labels = np.stack([stream.step(frame.image).labels for frame in frames])
        truth = np.stack([frame.labels for frame in frames])
        steady = (truth[1:] == truth[:-1]) & (truth[1:] != 255)
        assert rate == pytest.approx(100 * (labels[1:] != labels[:-1])[steady].mean())
    assert measured[1] > 0


def test_a_still_scene_does_not_flicker_per_frame() -> None:
    frame = StreetDrive(11, 96, 128).frame(30)
    assert measure_flicker(random_model(), [(frame.image, frame.labels)] * 3, (1,)) == {1: 0.0}


def test_exceptions() -> None:
    image = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        FlickerCount().update((image, image), (image, image[:1]))
    with pytest.raises(ValueError, match="at least 2 consecutive frames"):
        measure_flicker(random_model(), [], (1,))
    assert np.isnan(FlickerCount().rate())
