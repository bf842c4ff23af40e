# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Any image with a pixel is served; the smallest are where grids and networks run out of room."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gsvnet_lab.data.on_grid import image_on_grid
from gsvnet_model import CAMVID, ModelInfo, SegmentationModel, VideoSegmenter, load_model
from gsvnet_model.images.grid import GridFilter, grid_image, grid_size
from gsvnet_model.images.network_input import Normalisation, image_tensor
from gsvnet_model.networks.keyframe import KEYFRAME_NETWORKS, build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork

SIZES = [(1, 1), (2, 2), (3, 3), (1, 640), (640, 1), (2, 7), (3, 5), (7, 1000), (4, 4), (9, 9)]


@pytest.mark.parametrize("grid_filter", ["centred", "area", "bilinear"])
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_grid_has_two_cells_a_side_and_shows_the_image(
    stride: int, grid_filter: GridFilter
) -> None:
    rng = np.random.default_rng(0)
    for size in SIZES:
        assert min(grid_size(*size, stride, grid_filter)) >= 2
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        cells = grid_image(image, stride, grid_filter)
        assert cells.shape[:2] == grid_size(*size, stride, grid_filter)
        assert cells.min() >= image.min() and cells.max() <= image.max()
        on_device = image_on_grid(image_tensor(image, torch.device("cpu")), stride, grid_filter)
        assert on_device.shape[2:] == cells.shape[:2]
        if grid_filter == "centred":
            difference = on_device[0].permute(1, 2, 0).numpy() - cells.astype(np.float32)
            assert np.abs(difference).max() <= 1  # halves may be rounded either way


def models() -> list[SegmentationModel]:
    """Return the shipped weights, and every network with random weights at each grid filter."""
    found = [load_model(device="cpu")]
    torch.manual_seed(0)
    filters: tuple[GridFilter, ...] = ("centred", "area", "bilinear")
    for name, grid_filter in zip(sorted(KEYFRAME_NETWORKS), filters, strict=True):
        keyframe = build_keyframe_network(name, CAMVID.num_classes)
        propagation = PropagationNetwork(PropagationConfig(CAMVID.num_classes))
        info = ModelInfo(name, CAMVID, Normalisation.imagenet(), grid_filter=grid_filter)
        found.append(SegmentationModel(keyframe, propagation, info))
    return found


def test_streams_of_tiny_images_are_labelled() -> None:
    rng = np.random.default_rng(1)
    for model in models():
        for size in SIZES:
            segmenter = VideoSegmenter(model, 3)
            for _ in range(4):
                image = rng.integers(0, 256, (*size, 3), np.uint8)
                step = segmenter.step(image)
                assert step.labels.shape == step.confidence.shape == size
                assert step.labels.max() < CAMVID.num_classes


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_refused_with_the_size_that_came(size: tuple[int, int]) -> None:
    height, width = size
    message = rf"at least 1x1 pixels \(width x height\), got {width}x{height}"
    with pytest.raises(ValueError, match=message):
        VideoSegmenter(load_model(device="cpu")).step(np.zeros((*size, 3), np.uint8))
