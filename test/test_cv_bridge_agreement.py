# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Our conversions beside those of cv_bridge, and the encodings that are left to it.

Runs where cv_bridge is installed: with a ROS 2 of the machine, and in scripts/test_cv_bridge.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gsvnet_ros.messages.image_messages import BadImage, rgb_from_image

cv_bridge = pytest.importorskip("cv_bridge")

PATTERNS = ("rggb", "bggr", "gbrg", "grbg")
OURS = {"rgb8": "3u1", "bgr8": "3u1", "rgba8": "4u1", "bgra8": "4u1", "mono8": "u1", "mono16": "u2"}
LONG_TAIL = {
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

HOT_PATH = """
import sys
from sensor_msgs.msg import Image
from gsvnet_ros.messages.image_messages import rgb_from_image
for encoding, step in {encodings}:
    message = Image(height=1, width=1, encoding=encoding, step=step)
    message.data.frombytes(bytes(step))
    rgb_from_image(message)
sys.exit("cv_bridge" in sys.modules)
"""


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
@pytest.mark.parametrize(("encoding", "pixel"), (OURS | LONG_TAIL).items())
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


RED_ISH = np.array((200, 100, 50), np.uint8)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_gives_the_colour_of_the_scene(pattern: str, bits: int) -> None:
    cell = RED_ISH[["rgb".index(colour) for colour in pattern]].reshape(2, 2)
    levels = np.tile(cell, (4, 5)).astype("<u2") * 257
    rows = levels.view(np.uint8) if bits == 16 else levels.astype(np.uint8)
    rgb = rgb_from_image(message(rows, 10, f"bayer_{pattern}{bits}"))
    np.testing.assert_array_equal(rgb, np.broadcast_to(RED_ISH, (8, 10, 3)))


def test_yuv422_gives_the_colour_of_the_scene() -> None:
    # BT.601, 16..235: U Y V Y of two pixels.
    red, green, blue = RED_ISH / 255
    y = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    u = 128 - 37.797 * red - 74.203 * green + 112.0 * blue
    v = 128 + 112.0 * red - 93.786 * green - 18.214 * blue
    pair = np.round([u, y, v, y]).astype(np.uint8)
    rgb = rgb_from_image(message(np.tile(pair, (4, 3)), 6, "yuv422"))
    np.testing.assert_allclose(rgb.astype(int), np.broadcast_to(RED_ISH, (4, 6, 3)), atol=2)


def test_yuy2_is_read_as_its_twin_or_refused_by_name() -> None:
    """The cv_bridge of ROS 2 knows it, that of ROS 1 does not."""
    rows = noise(6, 8, "2u1")
    image = message(rows.reshape(6, 8, 2)[..., ::-1].reshape(6, 16), 8, "yuv422_yuy2")
    try:
        rgb = rgb_from_image(image)
    except BadImage as error:
        assert error.reason == "bad_encoding"
        assert "'yuv422_yuy2'" in str(error)
    else:
        np.testing.assert_array_equal(rgb, of_bridge(message(rows, 8, "yuv422")))


@pytest.mark.parametrize(
    ("change", "reason", "text"),
    [
        ({"encoding": "yuv422", "width": 5, "step": 12}, "bad_size", "even width"),
        ({"encoding": "yuv422", "width": 8}, "bad_data", "step of at least 16 bytes"),
        ({"encoding": "rgb16"}, "bad_data", "step of at least 36 bytes"),
        ({"encoding": "bayer_rggb16", "width": 7}, "bad_data", "step of at least 14 bytes"),
        ({"encoding": "32FC1", "width": 3}, "bad_encoding", "'32FC1'.*publish one of"),
        ({"encoding": "nonsense"}, "bad_encoding", "'nonsense'.*publish one of"),
    ],
)
def test_what_cv_bridge_should_not_see_is_refused(
    change: dict[str, object], reason: str, text: str
) -> None:
    image = message(noise(4, 12, "u1"), 6, "mono8")
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(BadImage, match=text) as caught:
        rgb_from_image(image)
    assert caught.value.reason == reason


def test_common_encodings_do_not_import_cv_bridge() -> None:
    encodings = [(encoding, np.dtype(pixel).itemsize) for encoding, pixel in OURS.items()]
    code = HOT_PATH.format(encodings=encodings)
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
