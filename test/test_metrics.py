# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The confusion matrix against counting by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from gsvnet_lab.cli import main
from gsvnet_lab.evaluation.metrics import ConfusionMatrix, pooled
from gsvnet_lab.reporting.environment import write_json


def test_iou_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
    labels = np.array([[0, 1, 1, 1], [2, 255, 0, 1]], np.uint8)
    matrix = ConfusionMatrix(4)
    matrix.update(labels, truth)
    iou = matrix.iou()
    assert iou[:3] == pytest.approx([1 / 2, 2 / 3, 1 / 2])
    assert np.isnan(iou[3])
    assert matrix.miou() == pytest.approx(100 * (1 / 2 + 2 / 3 + 1 / 2) / 3)
    assert matrix.pixel_accuracy() == pytest.approx(100 * 4 / 6)


def test_pooling_is_the_sum_of_pixels_not_the_mean_of_scores() -> None:
    first, second = ConfusionMatrix(2), ConfusionMatrix(2)
    first.update(np.array([[0, 1]], np.uint8), np.array([[0, 1]], np.uint8))
    second.update(np.zeros((1, 8), np.uint8), np.ones((1, 8), np.uint8))
    assert pooled([first, second]).iou() == pytest.approx([1 / 9, 1 / 9])


def test_exception() -> None:
    with pytest.raises(ValueError, match="shape"):
        ConfusionMatrix(2).update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="at least one"):
        pooled([])
    assert np.isnan(ConfusionMatrix(3).miou())


@pytest.mark.parametrize(
    "verb",
    [
        ["evaluate", "--max-interval", "2", "--json", "{out}"],
        ["tradeoff", "--intervals", "2", "--repetitions", "1", "--json", "{out}"],
        ["latency", "--interval", "2", "--json", "{out}"],
        ["schedule", "--quality", "{quality}", "--json", "{out}"],
    ],
    ids=lambda verb: str(verb[0]),
)
def test_data_without_a_labelled_pixel_are_refused(
    verb: list[str],
    training_folder: Path,
    weights_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, out, quality = (tmp_path / name for name in ("data", "out.json", "quality.json"))
    shutil.copytree(training_folder, data)
    quality.write_text('{"quality": {}}')
    for path in (data / "val" / "labels").iterdir():
        cv2.imwrite(str(path), np.full((96, 128), 255, np.uint8))
    given = [word.format(out=out, quality=quality) for word in verb]
    common = ["--data", str(data), "--weights", str(weights_path), "--device", "cpu"]
    assert main([*given, *common]) == 2
    assert "expected labelled pixels in the split val, got void" in capsys.readouterr().err
    assert not out.exists()


def test_figures_that_are_not_finite_become_null(tmp_path: Path) -> None:
    figures = {"miou": float("nan"), "list": [1.0, float("inf")], "inner": {"tuple": (2, "x")}}
    write_json(tmp_path / "figures.json", figures)
    text = (tmp_path / "figures.json").read_text()
    assert json.loads(text) == {"miou": None, "list": [1.0, None], "inner": {"tuple": [2, "x"]}}
    assert "NaN" not in text and "Infinity" not in text
