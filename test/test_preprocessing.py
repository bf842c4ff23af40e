# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images on their way to the networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.images.grid import grid_image, grid_size
from gsvnet_model.images.network_input import (
    Normalisation,
    image_tensor,
    input_size,
    keyframe_image,
)
from gsvnet_model.ops import average, normalise

RNG = np.random.default_rng(0)


def test_area_filter_averages_what_a_cell_covers() -> None:
    image = RNG.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    means = image.reshape(4, 8, 6, 8, 3).mean((1, 3))
    assert np.abs(grid_image(image, 8, "area").astype(float) - means).max() <= 0.51


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("size", [(32, 48), (33, 49), (37, 45), (12, 22)])
def test_centred_filter_averages_around_the_cells_of_strided_maps(
    size: tuple[int, int], stride: int
) -> None:
    image = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    grid = grid_image(image, stride, "centred")
    half = stride // 2
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            top, left = max(0, stride * row - half), max(0, stride * column - half)
            bottom = size[0] if row == grid.shape[0] - 1 else stride * row + half
            right = size[1] if column == grid.shape[1] - 1 else stride * column + half
            covered = image[top:bottom, left:right]
            assert covered.size > 0
            assert np.abs(grid[row, column] - covered.mean((0, 1))).max() <= 0.51


def test_centred_filter_takes_any_view(monkeypatch: pytest.MonkeyPatch) -> None:
    image = RNG.integers(0, 256, (121, 83, 3), dtype=np.uint8)
    expected = grid_image(image, 8, "centred")
    padded = np.zeros((121, 100, 3), np.uint8)
    padded[:, 9:92] = image
    views = (
        padded[:, 9:92],
        np.ascontiguousarray(image[::-1])[::-1],
        np.ascontiguousarray(image[:, ::-1])[:, ::-1],
        np.ascontiguousarray(image[..., ::-1])[..., ::-1],
    )
    for view in views:
        assert np.array_equal(grid_image(view, 8, "centred"), expected)
    monkeypatch.setattr(average, "_PIXELS_PER_THREAD", 1 << 10)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    assert np.array_equal(grid_image(image, 8, "centred"), expected)
    torch.set_num_threads(threads)


def test_centred_grid_is_that_of_the_logits() -> None:
    """Where the keyframe network sees the image at its own scale, nothing is resampled."""
    for side in range(64, 81):
        inputs = input_size(side, 2 * side, 1.0, 8)
        logits = (-(-inputs[0] // 8), -(-inputs[1] // 8))
        assert grid_size(side, 2 * side, 8, "centred") == logits


def test_bilinear_filter_is_the_published_sampling() -> None:
    image = RNG.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    expected = F.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        (4, 6),
        mode="bilinear",
        align_corners=True,
    )[0].permute(1, 2, 0)
    for same in (image, np.ascontiguousarray(image[:, ::-1])[:, ::-1]):
        sampled = grid_image(same, 8, "bilinear")
        assert np.abs(sampled - expected.numpy()).max() < 1e-4


def as_defined(
    image: Tensor, size: tuple[int, int], normalisation: Normalisation, precision: torch.dtype
) -> Tensor:
    """Normalise, resize, round, one after the other."""
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (normalisation.mean, normalisation.std)
    )
    normalised = (image.float() - mean) / std
    return F.interpolate(normalised, size, mode="bilinear", align_corners=True).to(precision)


def pixels(kind: str, height: int, width: int) -> Tensor:
    """Return (N, 3, height, width) uint8 in several memory layouts."""
    wide = RNG.integers(0, 256, (3, height, width + 5, 3), dtype=np.uint8)
    if kind == "padded rows":  # as in an image message whose step is longer than a row
        return image_tensor(wide[0, :, :width], torch.device("cpu"))
    batch = torch.from_numpy(wide[:, :, :width].copy()).permute(0, 3, 1, 2)
    return {"batch": batch, "one": batch[:1], "planes": batch.contiguous()}[kind]


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.75, 1.0, 1.7])
@pytest.mark.parametrize("kind", ["one", "batch", "padded rows", "planes"])
def test_keyframe_image_is_the_image_normalised_and_resized(
    kind: str, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalise, "_PIXELS_PER_THREAD", 1 << 10)
    normalisation = Normalisation.swiftnet()
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    for height, width in ((50, 71), (1, 9), (9, 1)):
        image = pixels(kind, height, width)
        size = input_size(height, width, scale, 1)
        precise = keyframe_image(image, size, normalisation)
        rounded = keyframe_image(image, size, normalisation, torch.bfloat16)
        expected = as_defined(image, size, normalisation, torch.float32)
        assert precise.shape == rounded.shape == expected.shape
        torch.testing.assert_close(precise, expected, rtol=0, atol=1e-5)
        assert rounded.dtype == torch.bfloat16
        torch.testing.assert_close(rounded.float(), expected, rtol=2**-8, atol=1e-5)
        assert torch.equal(rounded, precise.to(torch.bfloat16))
        if kind != "planes" and min(size) > 1:
            assert rounded.is_contiguous(memory_format=torch.channels_last)
    torch.set_num_threads(threads)


def test_input_size() -> None:
    assert input_size(362, 481, 0.75, 1) == (3 * 90, 3 * 120)  # as published
    assert input_size(362, 481, 0.5, 1) == (181, 240)
    assert input_size(360, 480, 1.0, 1) == (360, 480)
    assert input_size(360, 480, 1.0, 8) == (361, 481)
    assert input_size(360, 480, 4 / 3, 8) == (481, 641)
    for height, width in ((1, 9), (2000, 33)):
        for stride in (1, 4, 8):
            for side in input_size(height, width, 0.3, stride):
                assert side >= 1
                assert (side - 1) % stride == 0


def test_keyframe_image_size() -> None:
    image = RNG.integers(0, 256, (362, 481, 3), dtype=np.uint8)
    normalisation = Normalisation((10.0, 20.0, 30.0), (2.0, 4.0, 8.0))
    tensor = image_tensor(image, torch.device("cpu"))
    assert keyframe_image(tensor, (181, 240), normalisation).shape == (1, 3, 181, 240)
    same = keyframe_image(tensor, (362, 481), normalisation)
    red = (image[7, 9, 0] - 10.0) / 2.0
    blue = (image[7, 9, 2] - 30.0) / 8.0
    assert same[0, 0, 7, 9].item() == pytest.approx(red)
    assert same[0, 2, 7, 9].item() == pytest.approx(blue)


def test_exception() -> None:
    with pytest.raises(ValueError, match=r"at least 1x1 pixels \(width x height\), got 480x0"):
        grid_size(0, 480, 8, "area")
    with pytest.raises(ValueError, match="grid filter"):
        grid_image(np.zeros((16, 16, 3), np.uint8), 8, "cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="deviations"):
        Normalisation((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))


@pytest.mark.parametrize("scale", [0.6, 1.0, 4 / 3])
def test_corners_of_the_logits_lie_on_those_of_the_image(scale: float) -> None:
    """Cells of strided convolutions say what the image shows just where labels are read."""
    normalisation = Normalisation.swiftnet()
    for height, width in ((120, 160), (97, 141)):
        rows, columns = np.mgrid[:height, :width]
        ramps = np.stack((rows, columns, rows), -1).astype(np.uint8)
        image = image_tensor(ramps, torch.device("cpu"))
        inputs = keyframe_image(image, input_size(height, width, scale, 8), normalisation)
        logits = inputs[..., ::8, ::8]  # cell i of a map at stride 8 is centred on pixel 8 * i
        seen = F.interpolate(logits, (height, width), mode="bilinear", align_corners=True)
        torch.testing.assert_close(seen, normalisation.apply(image), rtol=0, atol=1e-4)
