# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Colours, overlays, legends."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.outputs.overlay import colorize, draw_legend, mark_keyframe, overlay

PALETTE = CAMVID.palette_array()


def labels_with_everything() -> NDArray[np.uint8]:
    """Return (H, W) labels that hold every id of a byte."""
    return np.random.default_rng(0).permutation(np.arange(256, dtype=np.uint8)).reshape(8, 32)


def test_every_id_has_its_colour_in_rgb_order() -> None:
    labels = labels_with_everything()
    colours = colorize(labels, PALETTE)
    np.testing.assert_array_equal(colours, PALETTE[labels])
    assert tuple(colours[labels == CAMVID.names.index("road")][0]) == (128, 64, 128)
    assert not colours[labels == 255].any()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_overlay_blends_and_leaves_the_image(alpha: float) -> None:
    labels = labels_with_everything()
    image = np.random.default_rng(1).integers(0, 256, (8, 32, 3), np.uint8)
    before = image.copy()
    blended = overlay(image, labels, PALETTE, alpha)
    expected = (1 - alpha) * image + alpha * PALETTE[labels].astype(float)
    assert np.abs(blended - expected).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(image, before)


def test_legend_shows_every_class_that_fits() -> None:
    image = np.zeros((200, 120, 3), np.uint8)
    draw_legend(image, CAMVID, "keyframe + 2")
    present = {tuple(int(value) for value in colour) for colour in image.reshape(-1, 3)}
    assert set(CAMVID.palette) <= present
    small = np.zeros((30, 40, 3), np.uint8)
    draw_legend(small, CAMVID, "keyframe")
    assert not small[28:].any()


@pytest.mark.parametrize("size", [(360, 480), (20, 9)])
def test_keyframe_mark_is_a_white_disc_in_the_upper_right(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 100, np.uint8)
    mark_keyframe(image)
    drawn = (image != 100).any(2)
    rows, columns = np.nonzero(drawn)
    assert (image[drawn] == 255).all(1).any()
    assert rows.max() <= max(9, size[0] // 10)
    assert columns.min() >= size[1] - max(9, size[0] // 10)


def test_wrong_arguments_say_what_is_expected() -> None:
    labels = labels_with_everything()
    with pytest.raises(ValueError, match=r"expected labels \(H, W\) uint8"):
        colorize(labels.astype(np.int64), PALETTE)
    with pytest.raises(ValueError, match=r"expected a palette \(256, 3\)"):
        colorize(labels, PALETTE[:11])
    with pytest.raises(ValueError, match="expected an image of shape"):
        overlay(np.zeros((4, 4, 3), np.uint8), labels, PALETTE)
    with pytest.raises(ValueError, match=r"expected alpha in 0\.\.1"):
        overlay(np.zeros((8, 32, 3), np.uint8), labels, PALETTE, 1.5)
