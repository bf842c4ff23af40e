# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Logit adjustment: what was tilted is set upright again, and the model adds it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from models import moving_images, random_model

from gsvnet_lab.cli import main
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_lab.fitting.logit_adjustment import best_adjustment, fit_logit_adjustment
from gsvnet_lab.fitting.store import store_metrics
from gsvnet_model import load_model
from gsvnet_model.images.network_input import image_tensor

TILT = np.array([0.9, -0.6, 0.0, 0.3, -0.6, 0.0])


def test_tilt_is_taken_back() -> None:
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(6, 4000)).astype(np.float32) for _ in range(3)]
    for values in logits:
        values[5] = -50.0  # a class that never occurs stays as it is
    truth = [values.argmax(0).astype(np.uint8) for values in logits]
    tilted = [values + TILT[:, None].astype(np.float32) for values in logits]
    fit = best_adjustment(tilted, truth)
    assert fit.miou_after > 99.0
    np.testing.assert_allclose(fit.values, TILT.mean() - TILT, atol=0.05)


def test_score_is_that_of_the_labels() -> None:
    """Classes that never occur are judged by nothing, so they take no part."""
    rng = np.random.default_rng(1)
    logits = [rng.normal(size=(6, 3000)).astype(np.float32) for _ in range(2)]
    truth = [rng.integers(0, 4, 3000).astype(np.uint8) for _ in logits]
    for values in logits:
        values[0] += 1.0
    logits[1][:4] += 0.8 * np.eye(4, dtype=np.float32)[truth[1]].T
    fit = best_adjustment(logits, truth)

    def scored(bias: np.ndarray) -> float:
        matrix = ConfusionMatrix(6)
        for values, classes in zip(logits, truth, strict=True):
            raised = values[:4] + bias[:4, None].astype(np.float32)
            labels = raised.argmax(0).astype(np.uint8)
            matrix.update(labels[None], classes[None])
        return matrix.miou()

    found = np.array(fit.values)
    assert fit.miou_before == pytest.approx(scored(np.zeros(6)), abs=1e-9)
    assert fit.miou_after == pytest.approx(scored(found), abs=0.01)  # of a tie, rounding decides
    assert fit.miou_after > fit.miou_before + 1
    assert found[4:].tolist() == [0, 0]
    # No single step leads higher.
    for index in range(4):
        for change in (-0.3, 0.3):
            other = found.copy()
            other[index] += change
            assert scored(other) <= fit.miou_after + 0.01


def test_fit_starts_from_the_bias_that_is_there() -> None:
    bias = tuple(np.linspace(-1.0, 1.0, 11).tolist())
    plain, biased = random_model(), random_model(logit_adjustment=bias)
    image = moving_images(1)[0]
    pixels = image_tensor(image, plain.device)
    own = plain.segment(pixels)
    torch.testing.assert_close(biased.segment(pixels), own + torch.tensor(bias).view(1, 11, 1, 1))
    full = torch.nn.functional.interpolate(
        own, image.shape[:2], mode="bilinear", align_corners=True
    )
    labels = full.argmax(1)[0].to(torch.uint8).numpy()
    labels[:10] = 255
    fit = fit_logit_adjustment(biased, [(image, labels)])
    assert fit.miou_after > 99
    present = np.unique(labels[10:])
    found = np.array(fit.values)[present]
    np.testing.assert_allclose(found - found.mean(), 0, atol=0.15)


def test_command_stores_it(
    training_folder: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(weights_path, weights)
    given = ["adjust-logits", "--data", str(training_folder), "--weights", str(weights)]
    assert main([*given, "--device", "cpu"]) == 0
    assert load_model(weights).info.logit_adjustment == ()
    store_metrics(weights, {"average_miou_interval_1": 60.0})
    assert main([*given, "--device", "cpu", "--store"]) == 0
    info = load_model(weights).info
    bias = info.logit_adjustment
    assert info.command == "gsvnet adjust-logits --split train"
    assert info.metrics == {}  # they were of other labels
    assert len(bias) == 11
    assert sum(bias) == pytest.approx(0, abs=1e-6)
    printed = capsys.readouterr().out
    assert f"pedestrian {bias[9]:+.2f}" in printed


def test_stills_without_labels_are_refused() -> None:
    (image,) = moving_images(1)
    void = [(image, np.full(image.shape[:2], 255, np.uint8))]
    with pytest.raises(ValueError, match="none with a labelled pixel"):
        fit_logit_adjustment(random_model(), void)


def test_bias_has_a_value_for_every_class() -> None:
    with pytest.raises(ValueError, match="expected a logit adjustment of 11 values or none, got 3"):
        random_model(logit_adjustment=(0.0, 1.0, 2.0))
