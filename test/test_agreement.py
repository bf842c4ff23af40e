# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet agreement`: propagated against per-frame labels on footage without labels."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from models import moving_images, random_model

from gsvnet_lab.cli import main
from gsvnet_lab.evaluation.agreement import AgreementCounts, measure_agreement
from gsvnet_model import VideoSegmenter


def test_what_is_counted() -> None:
    counts = AgreementCounts()
    per_frame = np.array([[0, 1], [2, 3]], np.uint8)
    propagated = np.array([[0, 1], [2, 0]], np.uint8)
    keyframe = np.array([[0, 0], [0, 0]], np.uint8)
    counts.add(2, per_frame, propagated, keyframe)
    assert counts.agreement()[2] == 75
    assert counts.repetition()[2] == 25
    assert math.isnan(counts.agreement()[1])  # nothing was seen at this age
    counts.merge(counts)
    assert counts.pixels == [0, 0, 8]
    assert counts.agreement()[2] == 75


def test_labels_of_unlike_shapes() -> None:
    square, wide = np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="three label images of one shape"):
        AgreementCounts().add(1, square, square, wide)


def test_ages_follow_the_stream_and_a_standing_scene_agrees() -> None:
    image = moving_images(1)[0]
    counts = measure_agreement(random_model(), [image] * 7, 3)
    size = image.shape[0] * image.shape[1]
    assert counts.pixels == [3 * size, 2 * size, 2 * size]
    assert counts.agreement() == [100, 100, 100]
    assert counts.repetition() == [100, 100, 100]


def test_moving_scene_against_streams_of_ones_own() -> None:
    model, images = random_model(), moving_images(5)
    counts = measure_agreement(model, images, 5)
    stream = VideoSegmenter(model, 5, temporal_blending=0.0)
    propagated = [stream.step(image).labels for image in images]
    per_frame = [VideoSegmenter(model, 1).step(image).labels for image in images]
    for age in range(1, 5):
        same = 100 * (propagated[age] == per_frame[age]).mean()
        assert counts.agreement()[age] == pytest.approx(same)
        kept = 100 * (propagated[0] == per_frame[age]).mean()
        assert counts.repetition()[age] == pytest.approx(kept)


def test_interval_of_one() -> None:
    with pytest.raises(ValueError, match="interval of at least 2 frames, got 1"):
        measure_agreement(random_model(), moving_images(2), 1)


def test_no_image() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        measure_agreement(random_model(), [], 2)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    for number, image in enumerate(moving_images(5)):
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
    return folder


def test_verb(
    video: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    arguments = ["agreement", str(video), "--weights", str(weights_path), "--interval", "3"]
    assert main([*arguments, "--frames", "4", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert figures["interval"] == 3
    assert figures["propagation"] == "own"
    for name in ("agreement", "repeated"):
        assert len(figures[name]) == 3
        assert figures[name][0] == 100
        assert figures["videos"][str(video)][name] == figures[name]
    assert "age 2" in capsys.readouterr().out


def test_verb_without_a_universal_network(
    video: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.safetensors"
    arguments = ["agreement", str(video), "--weights", str(weights_path)]
    assert main([*arguments, "--propagation", str(missing)]) == 2
    assert "expected a universal propagation network, found no file" in capsys.readouterr().err
