# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Flicker against counting by hand, and of real streams."""

from __future__ import annotations

import numpy as np
import pytest
from models import random_model

from gsvnet_lab.evaluation.metrics import ConfusionMatrix, pooled
from gsvnet_lab.evaluation.reliability import ReliabilityHistogram
from gsvnet_lab.evaluation.stability import FlickerCount, measure_streams
from gsvnet_model import VideoSegmenter
from street_drive import StreetDrive


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
    frames = [drive.frame(30 + index) for index in range(6)]
    truth = [frame.labels for frame in frames]
    model = random_model()
    kinds = [(1, 0.0), (2, 0.0), (2, 0.5)]
    measured = measure_streams(model, [(frame.image, frame.labels) for frame in frames], kinds)
    for figures, (interval, blending) in zip(measured, kinds, strict=True):
        assert (figures.interval, figures.temporal_blending) == (interval, blending)
        matrix, steady, changed = ConfusionMatrix(11), 0, 0
        by_age = [ConfusionMatrix(11) for _ in range(interval)]
        reliability = [ReliabilityHistogram() for _ in range(interval)]
        for start in range(interval):
            stream = VideoSegmenter(model, interval, temporal_blending=blending)
            steps = [
                stream.step(frame.image, force_keyframe="shift" if index == start > 0 else "")
                for index, frame in enumerate(frames)
            ]
            labels = [step.labels for step in steps]
            for index in range(len(frames)):
                matrix.update(labels[index], truth[index])
                if index >= 1:  # the longest interval is 2
                    age = steps[index].keyframe_age
                    by_age[age].update(labels[index], truth[index])
                    reliability[age].update(labels[index], steps[index].confidence, truth[index])
                if index:
                    same = (truth[index] == truth[index - 1]) & (truth[index] != 255)
                    steady += int(same.sum())
                    changed += int((same & (labels[index] != labels[index - 1])).sum())
        assert figures.miou == pytest.approx(matrix.miou())
        assert figures.average_miou == pytest.approx(pooled(by_age).miou())
        assert figures.minimum_miou == pytest.approx(by_age[-1].miou())
        assert figures.expected_calibration_error == pytest.approx(
            [histogram.expected_calibration_error() for histogram in reliability]
        )
        assert figures.flicker == pytest.approx(100 * changed / steady)
    assert measured[0].flicker > 0
    assert measured[1].flicker != measured[2].flicker


def test_a_still_scene_does_not_flicker_per_frame() -> None:
    frame = StreetDrive(11, 96, 128).frame(30)
    (figures,) = measure_streams(random_model(), [(frame.image, frame.labels)] * 3, [(1, 0.0)])
    assert figures.flicker == 0


def test_exceptions() -> None:
    image = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        FlickerCount().update((image, image), (image, image[:1]))
    with pytest.raises(ValueError, match="at least 2 consecutive frames"):
        measure_streams(random_model(), [], [(1, 0.0)])
    assert np.isnan(FlickerCount().rate())
