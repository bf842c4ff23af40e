# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Temperatures: what was distorted is found again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from models import moving_images, random_model
from numpy.typing import NDArray

from gsvnet_lab.fitting.calibration import fit_temperature_slope, fit_temperatures
from gsvnet_lab.fitting.store import store_temperatures
from gsvnet_model import load_model
from gsvnet_model.checkpoint import read_networks, save_model
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.stream.state import keyframe_state, propagate_states

SIZE = (64, 96)
Sequence = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def drawn_labels(logits: torch.Tensor, temperature: float, seed: int) -> NDArray[np.uint8]:
    """Return labels (64, 96) drawn from the probabilities of (1, K, ., .) logits."""
    full = torch.nn.functional.interpolate(
        torch.softmax(logits / temperature, 1), SIZE, mode="bilinear", align_corners=True
    )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(full[0].flatten(1).T, 1, generator=generator)
    return drawn.view(SIZE).to(torch.uint8).numpy()


def calibrated_sequence(model: SegmentationModel, true_temperature: float) -> Sequence:
    """Return images whose labels are drawn from the model's own probabilities."""
    rng = np.random.default_rng(0)
    sequence = []
    for _ in range(4):
        image = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        logits = model.segment(image_tensor(image, model.device))
        sequence.append((image, drawn_labels(logits, true_temperature, seed=1)))
    return sequence


@pytest.mark.parametrize("true_temperature", [0.6, 1.0, 2.0])
def test_temperature_of_the_data_is_found(true_temperature: float) -> None:
    model = random_model()
    with torch.no_grad():
        for parameter in model.keyframe.parameters():
            parameter.mul_(12)  # confident enough for a temperature to matter
    (found,) = fit_temperatures(model, calibrated_sequence(model, true_temperature), 1)
    assert found == pytest.approx(true_temperature, rel=0.08)


@pytest.mark.parametrize("true_slope", [-0.03, 0.0, 0.03])
def test_slope_of_the_data_is_found(true_slope: float) -> None:
    estimate = QualityModel(linear={"difference": 30.0})
    model = random_model(quality=estimate)
    with torch.no_grad():
        for parameter in model.keyframe.parameters():
            parameter.mul_(12)
    # Labels drawn from what the model would say with that slope, keyframes at temperature 1.3.
    rng = np.random.default_rng(0)
    video: Sequence = []
    state = None
    for image in moving_images(8, *SIZE):
        on_grid = model.grid_input(image)
        if state is None:
            logits, state = keyframe_state(model, image, on_grid)
        else:
            (propagated,) = propagate_states(model, [state], [on_grid])
            state = state.followed_by(propagated, on_grid)
            logits = state.logits
        temperature = 1.3 * np.exp(true_slope * state.quality.disagreement)
        video.append((image, drawn_labels(logits, float(temperature), int(rng.integers(99)))))
    assert state is not None
    assert state.quality.disagreement > 10
    found = fit_temperature_slope(model, [video])
    assert found == pytest.approx(true_slope, abs=0.006)


def test_every_age_has_its_own() -> None:
    model = random_model()
    sequence = calibrated_sequence(model, 1.0)
    assert len(fit_temperatures(model, sequence, 3)) == 3
    void = [(image, np.full_like(labels, 255)) for image, labels in sequence[:2]]
    with pytest.raises(ValueError, match="at every age"):
        fit_temperatures(model, void, 2)
    with pytest.raises(ValueError, match="ages"):
        fit_temperatures(model, sequence, 5)


def test_stored_temperatures_are_loaded(weights_path: Path, tmp_path: Path) -> None:
    keyframe, propagation, info = read_networks(weights_path)
    path = tmp_path / "weights.safetensors"
    save_model(path, keyframe, propagation, info)
    store_temperatures(path, (1.5, 2.0))
    assert load_model(path).info == dataclasses.replace(info, temperatures=(1.5, 2.0))
    assert load_model(path).info.temperature_at(7) == 2.0
