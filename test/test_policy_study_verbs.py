# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet fit-quality` and `schedule` with weights of other classes than their drives show."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gsvnet_lab.cli import fit_quality, main
from gsvnet_lab.policy_study import videos
from gsvnet_model import load_model
from gsvnet_model.checkpoint import default_weights, read_networks, save_model
from gsvnet_model.outputs.classes import ClassTable


@pytest.fixture
def renamed(tmp_path: Path) -> Path:
    """The default weights, their classes as many as CamVid's but others."""
    keyframe, propagation, info = read_networks(default_weights())
    path = tmp_path / "renamed.safetensors"
    others = dataclasses.replace(info, classes=ClassTable.numbered(11))
    save_model(path, keyframe, propagation, others)
    return path


def test_confidence_follows_only_what_the_truth_names(
    renamed: Path,
    training_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fit_quality, "_DRIVE_FRAMES", 6)
    monkeypatch.setattr(fit_quality, "_CUTS", 4)
    monkeypatch.setattr(videos, "_SIZE", (96, 128))
    given = ["fit-quality", "--data", training_folder, "--weights", renamed, "--device", "cpu"]
    assert main([str(word) for word in (*given, "--drives", 3, "--stills", 0, "--store")]) == 0
    info = load_model(renamed).info
    assert info.quality.is_fitted
    assert info.temperature_slope == 0
    assert "the confidence does not follow the estimate" in capsys.readouterr().out


def test_more_moved_stills_than_images_are_refused_at_once(
    training_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit-quality", "--data", str(training_folder), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "expected at least 24 training images" in said
    assert "ask for fewer with --stills 5" in said


def test_schedules_are_judged_in_the_classes_of_the_clip(
    renamed: Path, training_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["schedule", "--data", training_folder, "--weights", renamed, "--device", "cpu"]
    assert main([str(word) for word in (*given, "--quality", tmp_path / "none.json")]) == 2
    assert "expected weights of CamVid's classes" in capsys.readouterr().err
