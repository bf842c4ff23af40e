# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet segment`: what it writes, and that it overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from models import moving_images

from gsvnet_lab.cli import main
from gsvnet_model import VideoSegmenter, load_model
from gsvnet_offline.sources.label_png import read_labels


def segment(weights: Path, source: Path, output: Path) -> int:
    given = ["segment", str(source), "--output", str(output), "--weights", str(weights)]
    return main([*given, "--device", "cpu", "--interval", "2"])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    for index, image in enumerate(moving_images(3)):
        cv2.imwrite(str(folder / f"{index:06d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video whose rate MPEG-4 cannot hold exactly."""
    path = tmp_path / "clip.avi"
    height, width = moving_images(1)[0].shape[:2]
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, 66.667, (width, height))
    for image in moving_images(3):
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def test_labels_are_those_of_the_stream(images: Path, weights_path: Path, tmp_path: Path) -> None:
    assert segment(weights_path, images, tmp_path / "out") == 0
    stream = VideoSegmenter(load_model(weights_path, "cpu"), 2)
    for index, image in enumerate(moving_images(3)):
        step = stream.step(image)
        for folder, expected in (("labels", step.labels), ("confidence", step.confidence)):
            written = read_labels(tmp_path / "out" / folder / f"{index:06d}.png")
            np.testing.assert_array_equal(written, expected)


def test_a_video_of_any_rate_gets_its_overlay(
    video: Path, weights_path: Path, tmp_path: Path
) -> None:
    assert segment(weights_path, video, tmp_path / "out") == 0
    overlay = cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4"))
    assert overlay.get(cv2.CAP_PROP_FPS) == pytest.approx(66.667, abs=0.01)
    assert sum(1 for _ in iter(lambda: overlay.read()[0], False)) == 3


def test_nothing_is_overwritten(
    images: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither labels beside the images, nor the source, nor results of before."""
    truth = images.parent / "labels"
    truth.mkdir()
    (truth / "000000.png").write_bytes(b"by hand")
    assert segment(weights_path, images, images.parent) == 2
    assert "has labels; name another" in capsys.readouterr().err
    assert (truth / "000000.png").read_bytes() == b"by hand"
    (tmp_path / "out" / "labels").mkdir(parents=True)  # all that a failed call has left
    assert segment(weights_path, images, tmp_path / "out") == 0
    video = tmp_path / "out" / "overlay.mp4"
    before = video.read_bytes()
    assert segment(weights_path, video, tmp_path / "out") == 2
    assert "has overlay.mp4, labels, confidence" in capsys.readouterr().err
    assert video.read_bytes() == before
