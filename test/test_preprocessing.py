# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images on their way to the networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gsvnet_model.preprocessing import (
    Normalisation,
    grid_image,
    grid_size,
    image_tensor,
    keyframe_image,
)

RNG = np.random.default_rng(0)


def test_area_filter_averages_what_a_cell_covers() -> None:
    image = RNG.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    means = image.reshape(4, 8, 6, 8, 3).mean((1, 3))
    assert np.abs(grid_image(image, (4, 6), "area").astype(float) - means).max() <= 0.51


def test_bilinear_filter_is_the_published_sampling() -> None:
    image = RNG.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    expected = F.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        (4, 6),
        mode="bilinear",
        align_corners=True,
    )[0].permute(1, 2, 0)
    assert np.array_equal(grid_image(image, (4, 6), "bilinear"), expected.numpy())


def test_keyframe_image_scale() -> None:
    image = RNG.integers(0, 256, (362, 481, 3), dtype=np.uint8)
    normalisation = Normalisation((10.0, 20.0, 30.0), (2.0, 4.0, 8.0))
    tensor = image_tensor(image, torch.device("cpu"))
    assert keyframe_image(tensor, 0.75, normalisation).shape == (1, 3, 3 * 90, 3 * 120)
    assert keyframe_image(tensor, 0.5, normalisation).shape == (1, 3, 181, 240)
    same = keyframe_image(tensor, 1.0, normalisation)
    red = (image[7, 9, 0] - 10.0) / 2.0
    blue = (image[7, 9, 2] - 30.0) / 8.0
    assert same[0, 0, 7, 9].item() == pytest.approx(red)
    assert same[0, 2, 7, 9].item() == pytest.approx(blue)


def test_exception() -> None:
    with pytest.raises(ValueError, match="at least 16 x 16"):
        grid_size(15, 480, 8)
    with pytest.raises(ValueError, match="grid filter"):
        grid_image(np.zeros((16, 16, 3), np.uint8), (2, 2), "cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="deviations"):
        Normalisation((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))
