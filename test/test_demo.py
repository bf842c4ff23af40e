# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: camera process, node process, recorder, on real ROS 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_model import VideoSegmenter, load_model
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.label_png import read_labels
from gsvnet_ros.startup.shared_memory import remove_dead_segments
from gsvnet_ros.tools.demo import main
from street_drive import StreetDrive

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 96, 128
NUM_IMAGES = 7


def demo(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = str(ROOT)
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    environment.pop("ROS_DOMAIN_ID", None)  # the demo takes one of its own
    return subprocess.run(
        [sys.executable, "-m", "gsvnet_ros.tools.demo", *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def read_figures(folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text())
    assert figures["published"] == figures["labelled"] + sum(figures["dropped"].values())
    return figures


def assert_no_memory_left() -> None:
    time.sleep(1.1)  # younger segments are left alone
    assert remove_dead_segments() == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images/ and labels/ of a few street frames."""
    folder = tmp_path_factory.mktemp("clip")
    drive = StreetDrive(3, HEIGHT, WIDTH, 15.0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for index in range(NUM_IMAGES):
        frame = drive.frame(index)
        bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), bgr)
        cv2.imwrite(str(folder / "labels" / f"{index}.png"), frame.labels)
    return folder


def test_folder_scores_the_same_as_the_library(clip: Path, tmp_path: Path) -> None:
    done = demo(tmp_path, "--source", clip, "--interval", "3", "--save-masks", "--output", "o u t")
    assert done.returncode == 0, done.stdout + done.stderr
    output = tmp_path / "o u t"
    figures = read_figures(output)
    assert figures["published"] == figures["received"] == figures["labelled"] == NUM_IMAGES
    assert figures["dropped"] == {}
    assert figures["keyframe_share"] == pytest.approx(3 / NUM_IMAGES)

    segmenter = VideoSegmenter(load_model(), keyframe_interval=3)
    confusion = ConfusionMatrix(11)
    for index in range(NUM_IMAGES):
        segmentation = segmenter.step(read_image(clip / "images" / f"{index}.png"))
        truth = read_labels(clip / "labels" / f"{index}.png")
        for kind, expected in (
            ("masks", segmentation.labels),
            ("confidences", segmentation.confidence),
        ):
            saved = cv2.imread(str(output / kind / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(saved, expected)
        confusion.update(segmentation.labels, truth)
    assert figures["accuracy"]["frames"] == NUM_IMAGES
    assert figures["accuracy"]["miou_percent"] == pytest.approx(confusion.miou())

    sheet = cv2.imread(str(output / "picture_sheet.png"))
    assert sheet is not None and sheet.shape[1] > 4 * WIDTH
    video = cv2.VideoCapture(str(output / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == NUM_IMAGES
    assert (video.get(cv2.CAP_PROP_FRAME_HEIGHT), video.get(cv2.CAP_PROP_FRAME_WIDTH)) == (
        HEIGHT,
        WIDTH,
    )
    assert not list(output.glob("recording_*"))
    assert_no_memory_left()


def test_built_in_clip_at_a_steady_rate(tmp_path: Path) -> None:
    options = ["--seconds", "2", "--rate", "6", "--size", f"{WIDTH}x{HEIGHT}"]
    done = demo(tmp_path, *options, "--transport", "compressed")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = read_figures(tmp_path / "demo_output")
    assert figures["published"] == 12
    # How many are labelled depends on the machine; how many arrive does not.
    assert figures["received_percent"] >= 90.0
    assert 1 <= figures["labelled"] <= 12
    assert figures["accuracy"]["frames"] == figures["labelled"]
    assert 0.0 < figures["latency_ms"]["median"] <= figures["latency_ms"]["p95"]
    assert_no_memory_left()


def test_failure_shows_the_log_of_the_node(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    done = demo(tmp_path, "--source", clip, "--weights", "bad.safetensors")
    assert done.returncode == 1
    assert "could not be configured" in done.stderr
    assert "expected a readable safetensors file" in done.stderr
    assert_no_memory_left()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "nowhere.mp4"], "does not exist"),
        (["--size", "480"], "expected WxH"),
        (["--rate", "-1"], "rate"),
        (["--transport", "carrier_pigeon"], "invalid choice"),
    ],
)
def test_exception(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        exit_code = main(arguments)
    except SystemExit as error:  # of argparse
        exit_code = int(error.code or 0)
    assert exit_code != 0
    assert words in capsys.readouterr().err
