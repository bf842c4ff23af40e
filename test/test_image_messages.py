# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Messages to RGB arrays and back."""

from __future__ import annotations

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

SIZES = [(120, 160), (7, 5), (1, 1), (33, 1)]


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


RED_ISH = np.array((200, 100, 50), np.uint8)


def yuv_of_red_ish() -> NDArray[np.uint8]:
    """Return Y, U and V of `RED_ISH` in BT.601, 16 to 235."""
    red, green, blue = RED_ISH / 255
    y = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    u = 128 - 37.797 * red - 74.203 * green + 112.0 * blue
    v = 128 + 112.0 * red - 93.786 * green - 18.214 * blue
    return np.round([y, u, v]).astype(np.uint8)


def raw(encoding: str, rows: NDArray[np.uint8], height: int, width: int) -> Image:
    """Return a message of rows as they lie in it."""
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data.frombytes(rows.tobytes())
    return message


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pair"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_yuv422_gives_the_colour_of_the_scene(encoding: str, pair: str, padding: int) -> None:
    values = dict(zip("yuv", yuv_of_red_ish(), strict=True))
    rows = np.tile(np.array([values[letter] for letter in pair], np.uint8), (5, 3))
    message = padded(raw(encoding, rows, height=5, width=6), padding)
    expected = np.broadcast_to(RED_ISH, (5, 6, 3))
    np.testing.assert_allclose(rgb_from_image(message).astype(int), expected, atol=2)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", (1, 2)), ("nv21", (2, 1))])
def test_nv12_gives_the_colour_of_the_scene(
    encoding: str, order: tuple[int, int], padding: int
) -> None:
    values = yuv_of_red_ish()
    rows = np.vstack([np.full((4, 6), values[0]), np.tile(values[list(order)], (2, 3))])
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    expected = np.broadcast_to(RED_ISH, (4, 6, 3))
    rgb = rgb_from_image(raw(encoding, rows, height=4, width=6))
    np.testing.assert_allclose(rgb.astype(int), expected, atol=2)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("is_bigendian", [0, 1])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_gives_the_colour_of_the_scene(
    pattern: str, bits: int, is_bigendian: int, padding: int
) -> None:
    cell = RED_ISH[["rgb".index(colour) for colour in pattern]].reshape(2, 2)
    levels = np.tile(cell, (4, 5))
    deep = (levels.astype(np.uint16) * 257).astype(">u2" if is_bigendian else "<u2")
    rows = levels if bits == 8 else deep.view(np.uint8)
    message = raw(f"bayer_{pattern}{bits}", rows, height=8, width=10)
    message.is_bigendian = is_bigendian
    expected = np.broadcast_to(RED_ISH, (8, 10, 3))
    np.testing.assert_array_equal(rgb_from_image(padded(message, padding)), expected)


@pytest.mark.parametrize("is_bigendian", [0, 1])
@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra"])
def test_colours_of_16_bits_are_scaled(order: str, is_bigendian: int) -> None:
    rgb = picture(7, 5)
    channels = [rgb[..., "rgb".index(letter)] if letter != "a" else rgb[..., 0] for letter in order]
    deep = (np.dstack(channels).astype(np.uint16) * 257).astype(">u2" if is_bigendian else "<u2")
    message = raw(f"{order}16", deep.reshape(7, -1).view(np.uint8), height=7, width=5)
    message.is_bigendian = is_bigendian
    np.testing.assert_array_equal(rgb_from_image(padded(message, 3)), rgb)


@pytest.mark.parametrize(
    ("generic", "meaning", "num_bytes"),
    [("8UC1", "mono8", 1), ("8UC3", "bgr8", 3), ("8UC4", "bgra8", 4), ("16UC1", "mono16", 2)],
)
def test_a_generic_type_means_what_opencv_takes_it_for(
    generic: str, meaning: str, num_bytes: int
) -> None:
    pixels = with_alpha(picture(7, 5))[..., :num_bytes]
    expected = rgb_from_image(image_message(pixels, meaning))
    np.testing.assert_array_equal(rgb_from_image(image_message(pixels, generic)), expected)


@pytest.mark.parametrize("encoding", ["", "32FC1", "nonsense", "nv24", "RGB8", "mono8 "])
def test_other_encodings_are_refused_with_those_that_are_read(encoding: str) -> None:
    message = image_message(picture(4, 4), encoding)
    with pytest.raises(BadImage, match=rf"got encoding '{encoding}'.*rgb8, .*nv12") as caught:
        rgb_from_image(message)
    assert caught.value.reason == "bad_encoding"


def test_an_encoding_in_the_wrong_case_is_told_the_right_one() -> None:
    with pytest.raises(BadImage, match=r"'RGB8' \(did the camera mean 'rgb8'\?\)"):
        rgb_from_image(image_message(picture(4, 4), "RGB8"))


READ_UNKNOWN = """
from sensor_msgs.msg import Image
from gsvnet_ros.messages.image_messages import BadImage, rgb_from_image
message = Image(height=4, width=4, encoding="unheard_of", step=4)
message.data.frombytes(bytes(16))
try:
    rgb_from_image(message)
except BadImage as error:
    print("refused", error.reason)
"""


def test_an_unknown_encoding_runs_nothing_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "cv_bridge.py").write_text("open('planted', 'w')")
    done = subprocess.run(
        [sys.executable, "-c", READ_UNKNOWN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "refused bad_encoding\n", done.stderr
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    ("encoding", "height", "width", "num_bytes", "reason"),
    [
        ("yuv422", 4, 5, 40, "bad_size"),
        ("nv12", 5, 6, 45, "bad_size"),
        ("nv12", 4, 5, 30, "bad_size"),
        ("nv12", 4, 6, 24, "bad_data"),  # the grey levels alone
        ("bayer_rggb16", 4, 6, 24, "bad_data"),
    ],
)
def test_sizes_are_checked_as_the_encoding_says(
    encoding: str, height: int, width: int, num_bytes: int, reason: str
) -> None:
    step = width * (2 if encoding == "yuv422" else 1)
    message = Image(height=height, width=width, encoding=encoding, step=step)
    message.data.frombytes(bytes(num_bytes))
    with pytest.raises(BadImage, match=encoding) as caught:
        rgb_from_image(message)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "forged",
    ["rgb8\n[ERROR] [safety]: stop", "\x1b[2J", "x" * 10_000_000],
    ids=["lines", "escape", "long"],
)
def test_what_a_peer_wrote_does_not_forge_the_log(forged: str) -> None:
    image, picture_data = image_message(picture(4, 4), forged), CompressedImage(format=forged)
    long_frame = image_message(picture(4, 4), frame_id=1025 * "x" + forged)
    for read, message in (
        (rgb_from_image, image),
        (rgb_from_image, long_frame),
        (rgb_from_compressed, picture_data),
    ):
        with pytest.raises(BadImage) as caught:
            read(message)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600


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
    with pytest.raises(BadImage, match="expected") as caught:
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


PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]


def jpeg(pixels: NDArray[np.uint8], *options: int) -> bytes:
    """Return pixels as JPEG."""
    return bytes(cv2.imencode(".jpg", pixels, options)[1])


def read_bytes(data: bytes) -> NDArray[np.uint8]:
    """Read data as the node does."""
    message = CompressedImage(format="jpeg")
    message.data.frombytes(data)
    return rgb_from_compressed(message)


@pytest.mark.parametrize("options", [(), PROGRESSIVE], ids=["baseline", "progressive"])
@pytest.mark.parametrize(
    "behind",
    [
        b"\0" * 9,
        b"\r\n",
        b"--boundary\r\n",
        b"\xff" * 5,
        jpeg(np.zeros((8, 8, 3), np.uint8))[30:],
        jpeg(np.zeros((8, 8, 3), np.uint8)),
    ],
    ids=["zeros", "line", "text", "ff", "tail", "second"],
)
def test_bytes_behind_the_end_of_a_jpeg_are_ignored(behind: bytes, options: list[int]) -> None:
    data = jpeg(scene(0), *options)
    np.testing.assert_array_equal(read_bytes(data + behind), read_bytes(data))


@pytest.mark.parametrize("options", [(), PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_jpeg_that_ends_within_a_thumbnail_only_is_truncated(options: list[int]) -> None:
    data, thumbnail = jpeg(scene(0), *options), jpeg(np.zeros((8, 8, 3), np.uint8))
    segment = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    np.testing.assert_array_equal(read_bytes(whole), read_bytes(data))
    with pytest.raises(BadImage, match="end marker") as caught:
        read_bytes(whole[:-2])
    assert caught.value.reason == "bad_data"


@pytest.mark.parametrize("marker", [0x00, 0x01, 0x02, *range(0xD0, 0xDA)])
def test_a_marker_that_hides_the_size_is_refused(marker: int) -> None:
    """The decoder does not read a length behind it, and would find another size."""
    data = jpeg(scene(0))
    frame = data.index(b"\xff\xc0")
    big = bytearray(data[frame : frame + 19])
    big[5:9] = b"\x40\x00\x40\x00"  # 16384 x 16384
    hidden = bytes([0xFF, marker]) + (2 + len(big)).to_bytes(2, "big") + bytes(big)
    with pytest.raises(BadImage, match=f"FF{marker:02X}") as caught:
        read_bytes(data[:frame] + hidden + data[frame:])
    assert caught.value.reason == "bad_data"


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = jpeg(np.zeros((64, 64, 3), np.uint8), *PROGRESSIVE)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    assert read_bytes(data[:last] + 50 * data[last:end] + data[end:]).shape == (64, 64, 3)
    with pytest.raises(BadImage, match="at most 100 scans"):
        read_bytes(data[:last] + 101 * data[last:end] + data[end:])
    big = bytearray(data)
    frame = data.index(b"\xff\xc2")
    big[frame + 5 : frame + 9] = b"\x16\x00\x16\x00"  # 5632 x 5632
    comment = b"\xff\xfe" + (65_000).to_bytes(2, "big") + bytes(64_998)
    with pytest.raises(BadImage, match="pixels in all of them"):
        read_bytes(bytes(big[:2]) + comment + bytes(big[2:]))
    end = big.index(b"\xff\xda", big.index(b"\xff\xda") + 2)
    with pytest.raises(BadImage, match="of a progressive JPEG"):
        read_bytes(bytes(big[:2]) + comment + bytes(big[2:end]) + b"\xff\xd9")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 5_000_000,
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 2_000_000,
        jpeg(scene(0), *PROGRESSIVE)[:-2] + b"\xff" * 5_000_000,
        jpeg(scene(0), *PROGRESSIVE)[:-2] + b"\xff\xfe\x00\x02" * 2_000_000,
    ],
    ids=["fill", "segments", "fill_behind_scans", "segments_behind_scans"],
)
def test_headers_that_take_for_ever_to_read_are_refused(data: bytes) -> None:
    # Quadratic time, or a step of Python per segment, would take minutes.
    with pytest.raises(BadImage) as caught:
        read_bytes(data)
    assert caught.value.reason == "bad_data"


def test_a_png_that_does_not_begin_with_its_header_is_refused() -> None:
    message = compressed(".png", scene(0))
    message.data[12:16] = type(message.data)("B", b"tEXt")
    with pytest.raises(BadImage, match="PNG header") as caught:
        rgb_from_compressed(message)
    assert caught.value.reason == "bad_data"


LIMITED = """
import gsvnet_ros
import cv2, numpy as np
jpeg = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1])
at = jpeg.index(b"\\xff\\xc0") + 5
jpeg[at : at + 4] = b"\\x20\\x00\\x20\\x01"  # 8192 x 8193
try:
    print("read", cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape)
except cv2.error as error:
    print(error.err)
"""


def test_opencv_has_a_limit_of_its_own() -> None:
    run = [sys.executable, "-c", LIMITED]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert "CV_IO_MAX_IMAGE_PIXELS" in done.stdout + done.stderr


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
            assert pixels.size <= 3 * 512 * len(data)
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
