# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Keyframe weights whose propagation network was never trained say so until it is."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from gsvnet_lab.cli import main
from gsvnet_model import load_model
from gsvnet_model.checkpoint import read_networks


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def loaded_quietly(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(path, "cpu")


def test_weights_say_so_until_propagation_is_trained_or_taken(
    training_folder: Path, weights_path: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "{network: swiftnet_r18, iterations: 1, batch_size: 2, phases: "
        "[{share: 1.0, crop: [64, 64], drive_images: 0}]}"
    )
    common = ("--recipe", recipe, "--data", training_folder, "--device", "cpu", "--output")
    run("train", "keyframe", *common, tmp_path / "scratch")
    scratch = tmp_path / "scratch" / "weights.safetensors"
    with pytest.warns(RuntimeWarning, match=r"weights\.safetensors: the propagation .* combine"):
        model = load_model(scratch, "cpu")
    assert not model.info.propagation_trained
    # What carries on from such weights has not trained it either.
    run("train", "keyframe", *common, tmp_path / "again", "--start", scratch)
    _, _, info = read_networks(tmp_path / "again" / "weights.safetensors")
    assert not info.propagation_trained
    run("train", "keyframe", *common, tmp_path / "tuned", "--start", weights_path)
    loaded_quietly(tmp_path / "tuned" / "weights.safetensors")
    run("combine", scratch, weights_path, tmp_path / "combined.safetensors")
    loaded_quietly(tmp_path / "combined.safetensors")
    recipe.write_text(
        "{still_clips: 1, drive_clips: 0, held_out_clips: 1, distance: 1, flow_iterations: 0, "
        "iterations: 1, batch_size: 1}"
    )
    run("train", "propagation", *common, tmp_path / "whole", "--keyframe", scratch)
    loaded_quietly(tmp_path / "whole" / "weights.safetensors")
