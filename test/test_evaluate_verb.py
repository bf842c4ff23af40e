# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet evaluate` on a clip: what it prints, writes and stores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from models import random_model

from gsvnet_lab.cli import main
from gsvnet_lab.evaluation.distances import DistanceEvaluation, evaluate_distances
from gsvnet_lab.evaluation.reliability import ReliabilityHistogram
from gsvnet_lab.reporting.environment import sha256
from gsvnet_lab.universal.checkpoint import UniversalInfo, save_universal
from gsvnet_lab.universal.network import UniversalConfig, UniversalPropagation
from gsvnet_model import VideoSegmenter
from gsvnet_model.checkpoint import read_networks
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.stream.state import DEFAULT_TEMPORAL_BLENDING
from street_drive import StreetDrive


@pytest.fixture(scope="module")
def outputs(
    clip_folder: Path, weights_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """What one run writes: its folder and its figures."""
    written = tmp_path_factory.mktemp("written")
    weights = written / "copy.safetensors"
    shutil.copy(weights_path, weights)
    arguments = [
        "evaluate",
        "--data",
        clip_folder,
        "--weights",
        weights,
        "--max-interval",
        3,
        "--store",
    ]
    for option, name in (("json", "figures.json"), ("card", "card.md"), ("plot", "diagram.png")):
        arguments += [f"--{option}", written / name]
    assert main([str(argument) for argument in arguments]) == 0
    figures: dict[str, Any] = json.loads((written / "figures.json").read_text())
    return written, figures


def test_figures(outputs: tuple[Path, dict[str, Any]]) -> None:
    written, figures = outputs
    for name in ("average_miou", "minimum_miou", "expected_calibration_error", "mean_confidence"):
        assert len(figures[name]) == 3, name
    assert figures["average_miou"][0] == pytest.approx(figures["minimum_miou"][0])
    assert all(0 <= error <= 1 for error in figures["expected_calibration_error"])
    assert [(stream["interval"], stream["temporal_blending"]) for stream in figures["streams"]] == [
        (1, 0.0),
        (3, 0.0),
        (2, DEFAULT_TEMPORAL_BLENDING),
        (3, DEFAULT_TEMPORAL_BLENDING),
    ]
    assert figures["frames"] == 2  # of four, those that every distance reaches
    assert figures["parameters"] == {"keyframe": 11_796_039, "propagation": 391_871}
    assert figures["multiply_adds"]["keyframe"] > 10 * figures["multiply_adds"]["propagation"] > 0
    assert len(figures["iou"]) == 3
    assert figures["sha256"] == sha256(written / "copy.safetensors")
    assert cv2.imread(str(written / "diagram.png")) is not None


def test_average_miou_is_stored(outputs: tuple[Path, dict[str, Any]]) -> None:
    written, figures = outputs
    _, _, info = read_networks(written / "copy.safetensors")
    stored = [info.metrics[f"average_miou_interval_{interval}"] for interval in (1, 2, 3)]
    assert stored == pytest.approx(figures["average_miou"])


def test_card(outputs: tuple[Path, dict[str, Any]]) -> None:
    written, figures = outputs
    card = (written / "card.md").read_text()
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Accuracy by keyframe interval",
        "Confidence by keyframe age",
        "IoU by class",
        "Cost",
        "As a stream runs",
        "Use",
    ]
    assert figures["command"] in card
    assert figures["sha256"] in card
    _, confidence = card.split("## Confidence by keyframe age")
    rows = confidence.split("##")[0].strip().splitlines()
    assert rows[0].endswith("| ECE |")
    for age, error in enumerate(figures["expected_calibration_error"]):
        assert rows[2 + age].startswith(f"| {age} | ")
        assert rows[2 + age].endswith(f"| {error:.3f} |")
    assert "| keyframe | 11,796,039 | 47.2 |" in card


def test_confidence_is_that_of_a_stream() -> None:
    """Reliability counts what a stream publishes, temperature by age and estimate included."""
    estimate = QualityModel(linear={"difference": 300.0})
    model = random_model(temperatures=(0.5, 3.0), quality=estimate, temperature_slope=0.05)
    drive = StreetDrive(11, 96, 128)
    frames = [drive.frame(30 + index) for index in range(3)]
    result = evaluate_distances(model, [(frame.image, frame.labels) for frame in frames], 3)
    for distance in range(3):
        stream = VideoSegmenter(model, 10)
        for frame in frames[2 - distance :]:
            step = stream.step(frame.image)
        assert (step.disagreement > 5) == (distance > 0)
        expected = ReliabilityHistogram()
        expected.update(step.labels, step.confidence, frames[-1].labels)
        counted = result.reliability[distance]
        assert counted.counts.sum() == expected.counts.sum()
        # A batch of keyframes rounds a little differently from one.
        assert counted.mean_confidence() == pytest.approx(expected.mean_confidence(), abs=1e-3)
        assert np.abs(counted.counts - expected.counts).sum() < 0.02 * expected.counts.sum()


def test_exception() -> None:
    with pytest.raises(ValueError, match="at least one distance"):
        DistanceEvaluation.empty(11, 0)


def test_one_data_set_at_a_time(clip_folder: Path) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--data", str(clip_folder), "--cityscapes", str(clip_folder)])


def test_universal_propagation(clip_folder: Path, weights_path: Path, tmp_path: Path) -> None:
    universal, figures = tmp_path / "universal.safetensors", tmp_path / "figures.json"
    network = UniversalPropagation(UniversalConfig(4))
    save_universal(universal, network, UniversalInfo(Normalisation.swiftnet()))
    arguments = ["evaluate", "--data", clip_folder, "--weights", weights_path, "--max-interval", 2]
    arguments += ["--propagation", universal]
    assert main([str(item) for item in (*arguments, "--json", figures)]) == 0
    written = json.loads(figures.read_text())
    assert written["propagation"] == "universal.safetensors"
    assert len(written["average_miou"]) == 2
    # Figures of another network do not go into the weights file.
    assert main([str(item) for item in (*arguments, "--store")]) == 2
