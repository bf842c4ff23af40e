# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images and labels at another size."""

from __future__ import annotations

import numpy as np

from gsvnet_model.images.resize import resize_image, resize_labels


def test_labels_take_the_pixel_under_the_centre() -> None:
    labels = np.arange(6, dtype=np.uint8)[None].repeat(6, 0)
    np.testing.assert_array_equal(resize_labels(labels, (2, 2)), [[1, 4], [1, 4]])
    np.testing.assert_array_equal(resize_labels(labels, (1, 3)), [[1, 3, 5]])
    enlarged = resize_labels(labels, (6, 18))
    np.testing.assert_array_equal(enlarged, labels.repeat(3, 1))


def test_confidence_is_averaged_over_the_area() -> None:
    confidence = np.array([[0, 100, 200, 40], [20, 80, 200, 40]], np.uint8)
    np.testing.assert_array_equal(resize_image(confidence, (1, 2)), [[50, 120]])
    flat = np.full((30, 40), 77, np.uint8)
    np.testing.assert_array_equal(resize_image(flat, (61, 83)), np.full((61, 83), 77))


def test_resize_keeps_what_fits() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert resize_image(image, None) is image
    assert resize_image(image, (4, 6)) is image
    image[:, 3:] = 200
    np.testing.assert_array_equal(resize_image(image, (2, 2))[0, :, 0], [0, 200])


def test_resize_of_labels_invents_none() -> None:
    labels = np.array([[0, 10], [10, 255]], np.uint8)
    large = resize_labels(labels, (7, 9))
    assert large.shape == (7, 9)
    assert set(np.unique(large)) == {0, 10, 255}
