# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Our conversions beside those of cv_bridge.

Runs where cv_bridge is installed: with a ROS 2 of the machine, and in scripts/test_cv_bridge.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gsvnet_ros.messages.image_messages import rgb_from_image

cv_bridge = pytest.importorskip("cv_bridge")

PATTERNS = ("rggb", "bggr", "gbrg", "grbg")
ENCODINGS = {
    "rgb8": "3u1",
    "bgr8": "3u1",
    "rgba8": "4u1",
    "bgra8": "4u1",
    "mono8": "u1",
    "mono16": "u2",
    "yuv422": "2u1",
    "rgb16": "3u2",
    "bgr16": "3u2",
    "rgba16": "4u2",
    "bgra16": "4u2",
    **{f"bayer_{pattern}8": "u1" for pattern in PATTERNS},
    **{f"bayer_{pattern}16": "u2" for pattern in PATTERNS},
}
"""Encoding: numpy type of a pixel."""

SIZES = [(24, 32), (7, 6), (7, 5), (33, 1), (1, 1)]


def noise(height: int, width: int, pixel: str) -> NDArray[np.uint8]:
    """Return random rows, (height, width * bytes of a pixel)."""
    shape = (height, width * np.dtype(pixel).itemsize)
    return np.random.default_rng(height * width).integers(0, 256, shape, np.uint8)


def message(rows: NDArray[np.uint8], width: int, encoding: str, padding: int = 0) -> Image:
    """Return an image of these rows with noise behind every one of them."""
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    result = Image(height=len(rows), width=width, encoding=encoding, step=wide.shape[1])
    result.data.frombytes(wide.tobytes())
    return result


def of_bridge(image: Image) -> NDArray[np.uint8]:
    """Return what cv_bridge makes of an image without padding, RGB."""
    return np.asarray(cv_bridge.CvBridge().imgmsg_to_cv2(image, desired_encoding="rgb8"))


@pytest.mark.parametrize("padding", [0, 1, 2, 17])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("encoding", "pixel"), ENCODINGS.items())
def test_pixels_are_those_of_cv_bridge(
    encoding: str, pixel: str, size: tuple[int, int], padding: int
) -> None:
    if encoding == "yuv422":
        size = (size[0], size[1] + size[1] % 2)
    rows = noise(*size, pixel)
    expected = of_bridge(message(rows, size[1], encoding))
    little = message(rows, size[1], encoding, padding)
    np.testing.assert_array_equal(rgb_from_image(little), expected)
    if pixel.endswith("u2"):
        big = message(rows.view("<u2").byteswap().view(np.uint8), size[1], encoding, padding)
        big.is_bigendian = 1
        np.testing.assert_array_equal(rgb_from_image(big), expected)


def test_every_level_of_mono16_becomes_that_of_cv_bridge() -> None:
    image = message(np.arange(2**16, dtype="<u2").view(np.uint8).reshape(256, 512), 256, "mono16")
    np.testing.assert_array_equal(rgb_from_image(image), of_bridge(image))


def test_yuy2_is_read_as_its_twin() -> None:
    """The cv_bridge of ROS 2 knows it, that of ROS 1 does not."""
    rows = noise(6, 8, "2u1")
    image = message(rows.reshape(6, 8, 2)[..., ::-1].reshape(6, 16), 8, "yuv422_yuy2")
    expected = of_bridge(message(rows, 8, "yuv422"))
    np.testing.assert_array_equal(rgb_from_image(image), expected)
