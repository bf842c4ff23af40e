# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A loaded model goes to other processes, which label as the first one does."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from models import moving_images, random_model
from numpy.typing import NDArray

from gsvnet_lab.universal.checkpoint import default_universal, with_universal
from gsvnet_model import SegmentationModel, VideoSegmenter, load_model

IMAGES = moving_images(4)


def labels_of(model: SegmentationModel) -> list[NDArray[np.uint8]]:
    torch.set_num_threads(1)
    segmenter = VideoSegmenter(model, keyframe_interval=3)
    steps = [segmenter.step(image) for image in IMAGES]
    return [array for step in steps for array in (step.labels, step.confidence)]


def assert_labels_alike(model: SegmentationModel, copy: SegmentationModel) -> None:
    for got, expected in zip(labels_of(copy), labels_of(model), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_model_is_pickled(precision: torch.dtype) -> None:
    model = random_model(precision=precision)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.info == model.info
    assert copy.precision == precision
    assert_labels_alike(model, copy)


def test_a_model_with_universal_propagation_is_pickled() -> None:
    model = with_universal(random_model(), default_universal())
    assert_labels_alike(model, pickle.loads(pickle.dumps(model)))


def test_a_spawned_worker_labels_alike() -> None:
    model = load_model(device="cpu", precision="float32")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        got = pool.apply(labels_of, (model,))
    for array, expected in zip(got, labels_of(model), strict=True):
        np.testing.assert_array_equal(array, expected)
