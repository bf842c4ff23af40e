# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Messages to RGB arrays and back."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from ros_process import image_message, scene
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gsvnet_ros.messages.image_messages import (
    BadImage,
    mono8_message,
    png_message,
    probability_message,
    rgb8_message,
    rgb_from_compressed,
    rgb_from_image,
)

HAS_CV_BRIDGE = importlib.util.find_spec("cv_bridge") is not None
DEBIAN_CV_BRIDGE = Path("/usr/lib/python3/dist-packages/cv_bridge")
SIZES = [(120, 160), (7, 5), (1, 1), (33, 1)]

READ_BAYER = """
from sensor_msgs.msg import Image
from gsvnet_ros.messages.image_messages import BadImage, rgb_from_image
message = Image(height=4, width=4, encoding="bayer_rggb8", step=4)
message.data.frombytes(bytes(16))
try:
    print("read", rgb_from_image(message).shape)
except BadImage as error:
    print("refused", error.reason, error)
"""


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Return random (height, width, 3) RGB pixels."""
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def grey(height: int, width: int) -> NDArray[np.uint8]:
    """Return random (height, width) grey levels."""
    return picture(height, width)[..., 0].copy()


def with_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return four channels, the last one noise."""
    return np.dstack([pixels, pixels[..., ::-1][..., 0] ^ 0x55])


def padded(message: Image, padding: int) -> Image:
    """Return the message with noise behind every row."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    result = Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=wide.shape[1],
    )
    result.data.frombytes(wide.tobytes())
    return result


@pytest.mark.parametrize("padding", [0, 1, 17])
@pytest.mark.parametrize("size", SIZES)
def test_colour_encodings_become_the_same_rgb(size: tuple[int, int], padding: int) -> None:
    rgb = picture(*size)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    for encoding, pixels in (
        ("rgb8", rgb),
        ("bgr8", bgr),
        ("rgba8", with_alpha(rgb)),
        ("bgra8", with_alpha(bgr)),
    ):
        message = padded(image_message(pixels, encoding), padding)
        np.testing.assert_array_equal(rgb_from_image(message), rgb, err_msg=encoding)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("size", SIZES)
def test_grey_encodings_become_three_equal_channels(size: tuple[int, int], padding: int) -> None:
    levels = grey(*size)
    expected = np.dstack([levels] * 3)
    message = padded(image_message(levels, "mono8"), padding)
    np.testing.assert_array_equal(rgb_from_image(message), expected)
    # A grey level is 257 of 16 bits; half a level more or less rounds to the same.
    for is_bigendian, dtype, offset in ((0, "<u2", 0), (0, "<u2", 128), (1, ">u2", -128)):
        values = np.clip(levels.astype(np.int64) * 257 + offset, 0, 65535).astype(dtype)
        message = image_message(values.view(np.uint8).reshape(*size, 2), "mono16")
        message.is_bigendian = is_bigendian
        np.testing.assert_array_equal(rgb_from_image(padded(message, padding)), expected)


def test_rgb8_is_a_view() -> None:
    message = image_message(scene(0))
    pixels = rgb_from_image(message)
    assert np.shares_memory(pixels, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2", "bayer_rggb8", "32FC1", "nonsense"])
@pytest.mark.skipif(HAS_CV_BRIDGE, reason="cv_bridge reads some of these")
def test_other_encodings_name_the_cure(encoding: str) -> None:
    message = image_message(picture(4, 4)[..., :2], encoding)
    with pytest.raises(BadImage, match=rf"'{encoding}' needs cv_bridge.*install") as caught:
        rgb_from_image(message)
    assert caught.value.reason == "bad_encoding"


@pytest.mark.skipif(not DEBIAN_CV_BRIDGE.is_dir(), reason="Debian's cv_bridge is not installed")
def test_cv_bridge_built_for_another_numpy_does_not_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "cv_bridge").symlink_to(DEBIAN_CV_BRIDGE)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", READ_BAYER],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # Whether it was built for another one depends on the Python that runs the tests.
    assert done.stdout.startswith(
        ("read (4, 4, 3)", "refused bad_encoding encoding 'bayer_rggb8' needs cv_bridge")
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"height": 0}, "bad_size"),
        ({"width": 0}, "bad_size"),
        ({"height": 2**32 - 1, "width": 2**32 - 1}, "bad_size"),
        ({"height": 121}, "bad_data"),
        ({"width": 161}, "bad_data"),
        ({"step": 0}, "bad_data"),
        ({"step": 479}, "bad_data"),
        ({"encoding": "rgba8"}, "bad_data"),
        ({"encoding": "RGB8"}, "bad_encoding"),
    ],
)
def test_inconsistent_image_is_refused(change: dict[str, object], reason: str) -> None:
    message = image_message(scene(0))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(BadImage, match=r"expected|needs") as caught:
        rgb_from_image(message)
    assert caught.value.reason == reason


def compressed(extension: str, pixels: NDArray[np.integer[Any]]) -> CompressedImage:
    """Return pixels (BGR, as OpenCV has them) in a compressed message."""
    _, data = cv2.imencode(extension, pixels)
    message = CompressedImage(format=extension[1:])
    message.data.frombytes(data.tobytes())
    return message


def test_png_is_exact_and_jpeg_is_near_and_in_rgb_order() -> None:
    rgb = scene(0)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    np.testing.assert_array_equal(rgb_from_compressed(compressed(".png", bgr)), rgb)
    jpeg = rgb_from_compressed(compressed(".jpg", bgr)).astype(int)
    assert np.abs(jpeg - rgb).mean() < 4
    assert np.abs(jpeg - bgr).mean() > 20


def test_grey_and_transparent_pictures_become_rgb() -> None:
    levels = grey(9, 8)
    expected = np.dstack([levels] * 3)
    np.testing.assert_array_equal(rgb_from_compressed(compressed(".png", levels)), expected)
    pixels = with_alpha(picture(9, 8))
    png = rgb_from_compressed(compressed(".png", pixels))
    np.testing.assert_array_equal(png, pixels[..., 2::-1])


def test_sixteen_bit_png_is_refused() -> None:
    message = compressed(".png", np.full((8, 8), 40000, np.uint16))
    with pytest.raises(BadImage, match="8 bits per channel, got 16") as caught:
        rgb_from_compressed(message)
    assert caught.value.reason == "bad_encoding"


@pytest.mark.parametrize("extension", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_truncated_picture_is_refused(extension: str, share: float) -> None:
    message = compressed(extension, scene(0))
    message.data = message.data[: int(share * len(message.data))]
    with pytest.raises(BadImage):
        rgb_from_compressed(message)


def test_jpeg_with_an_impossible_size_is_refused_before_decoding() -> None:
    message = compressed(".jpg", scene(0))
    start = message.data.tobytes().index(b"\xff\xc0")
    message.data[start + 5 : start + 9] = type(message.data)("B", b"\xff\xff\xff\xff")
    with pytest.raises(BadImage) as caught:
        rgb_from_compressed(message)
    assert caught.value.reason == "bad_size"


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_mutated_pictures_are_read_or_refused(extension: str) -> None:
    random = np.random.default_rng(11)
    sample = compressed(extension, scene(0)).data.tobytes()
    refused = 0
    for _ in range(250):
        data = bytearray(sample)
        for _ in range(int(random.integers(1, 20))):
            data[int(random.integers(0, len(data)))] = int(random.integers(0, 256))
        message = CompressedImage(format="jpeg")
        message.data.frombytes(bytes(data))
        try:
            pixels = rgb_from_compressed(message)
        except BadImage:
            refused += 1
        else:
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert pixels.size <= 3 * 256 * len(data)
    assert refused > 0


def test_messages_out_have_no_padding_and_keep_the_pixels() -> None:
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 34
    levels, rgb = grey(5, 7), picture(5, 7)
    mono = mono8_message(header, levels)
    assert (mono.header, mono.encoding, mono.height, mono.width) == (header, "mono8", 5, 7)
    assert (mono.step, mono.data.tobytes()) == (7, levels.tobytes())
    colour = rgb8_message(header, rgb)
    assert (colour.encoding, colour.step, colour.data.tobytes()) == ("rgb8", 21, rgb.tobytes())
    floats = probability_message(header, np.array([[0, 51, 255]], np.uint8))
    assert (floats.encoding, floats.step) == ("32FC1", 12)
    values = np.frombuffer(floats.data, np.float32)
    np.testing.assert_allclose(values, [0.0, 0.2, 1.0], rtol=1e-6)
    assert values[2] == 1.0
    png = png_message(header, levels)
    assert png.format == "mono8; png compressed"
    decoded = cv2.imdecode(np.frombuffer(png.data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, levels)


def test_a_strided_picture_is_copied_in_order() -> None:
    flipped = picture(4, 6)[:, ::-1]
    assert rgb8_message(Header(), flipped).data.tobytes() == flipped.tobytes()
