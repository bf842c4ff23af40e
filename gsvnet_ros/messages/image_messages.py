# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB arrays and back: the one place that knows encodings."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

MAX_PIXELS = 1 << 26
"""Largest image taken from a message: 64 Mpx, above any camera, below the memory."""

MAX_JPEG_PIXELS_PER_BYTE = 256
"""A baseline JPEG spends at least two bits on 8x8 pixels; a header that promises more is broken."""

_BYTES_PER_PIXEL = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "mono16": 2}

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = slice(16, 24)
_PNG_BIT_DEPTH = 24
_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
image = Image(height=1, width=1, encoding="bgr8", step=3)
image.data.frombytes(bytes(3))
CvBridge().imgmsg_to_cv2(image, "rgb8")
"""


BadImageReason = Literal["bad_size", "bad_encoding", "bad_data"]


class BadImage(ValueError):
    """A message that holds no image this package can read.

    Attributes:
        reason: the name it is counted under.
    """

    def __init__(self, reason: BadImageReason, message: str) -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason


def rgb_from_image(message: Image) -> NDArray[np.uint8]:
    """Read an image message.

    rgb8 is a view of the message's buffer (not to be written to), also where rows are
    padded; every other encoding costs one copy.

    Args:
        message: rgb8, bgr8, rgba8, bgra8, mono8 or mono16; any other encoding is left to
            cv_bridge where that is installed.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BadImage: for a size of zero, data of another length than `height * step`, a step
            shorter than a row, an odd width of yuv422, or an encoding that cannot be read.
    """
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0 or height * width > MAX_PIXELS:
        raise BadImage(
            "bad_size", f"expected an image of 1 to {MAX_PIXELS} pixels, got {width}x{height}"
        )
    if len(message.data) != height * step:
        raise BadImage(
            "bad_data",
            f"expected height * step = {height} * {step} bytes, got {len(message.data)}",
        )
    bytes_per_pixel = _BYTES_PER_PIXEL.get(message.encoding)
    if bytes_per_pixel is None:
        return _rgb_from_bridge(message)
    rows = _rows(message, bytes_per_pixel)
    if message.encoding == "mono16":
        return _rgb_from_mono16(rows, bool(message.is_bigendian))
    pixels = rows.reshape(height, width, bytes_per_pixel)
    conversion = _TO_RGB.get(message.encoding)
    if conversion is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)


def rgb_from_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG message of 8 bits per channel.

    The orientation tag of a JPEG is ignored, so that pixels stay where camera_info says.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BadImage: if the data is neither, is truncated or damaged, or has 16 bits.
    """
    data = np.frombuffer(message.data, np.uint8)
    start = data[: _PNG_BIT_DEPTH + 1].tobytes()
    if start.startswith(_PNG_SIGNATURE) and len(start) > _PNG_BIT_DEPTH:
        _check_png(start)
    elif start.startswith(_JPEG_START):
        _check_jpeg(message.data.tobytes())
    else:
        raise BadImage(
            "bad_encoding",
            f"expected JPEG or PNG data, got format '{message.format}' whose {len(data)} bytes "
            f"start with {start[:8].hex() or 'nothing'}",
        )
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage("bad_data", f"expected a readable picture, got {error}") from error
    if bgr is None or bgr.size == 0:
        raise BadImage("bad_data", f"expected a readable picture in {len(data)} bytes, got none")
    # Decoding to BGR and swapping is faster than OpenCV's own RGB flag.
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def mono8_message(header: Header, pixels: NDArray[np.uint8]) -> Image:
    """Return a `mono8` message of (H, W) uint8 without row padding."""
    return _image_message(header, pixels, "mono8", pixels.shape[1])


def rgb8_message(header: Header, pixels: NDArray[np.uint8]) -> Image:
    """Return an `rgb8` message of (H, W, 3) uint8 RGB without row padding."""
    return _image_message(header, pixels, "rgb8", pixels.shape[1] * 3)


def probability_message(header: Header, confidence: NDArray[np.uint8]) -> Image:
    """Return a `32FC1` message, 0..1, of (H, W) uint8 confidences floor(255 p)."""
    table = np.arange(256, dtype="<f4") / 255.0
    probabilities = np.take(table.astype("<f4"), confidence)
    return _image_message(header, probabilities, "32FC1", confidence.shape[1] * 4)


def png_message(header: Header, labels: NDArray[np.uint8]) -> CompressedImage:
    """Return a lossless `mono8; png compressed` message of (H, W) uint8 class ids."""
    # Level 1: label images shrink a hundredfold at any level, and time grows with it.
    _, png = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    message = CompressedImage(header=header, format="mono8; png compressed")
    message.data.frombytes(png.data)
    return message


def _image_message(header: Header, pixels: NDArray[Any], encoding: str, step: int) -> Image:
    message = Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=step,
    )
    # Filling the message's own array is a memcpy; assigning a numpy array walks every byte.
    message.data.frombytes(np.ascontiguousarray(pixels).view(np.uint8).data)
    return message


def _rows(message: Image, bytes_per_pixel: int) -> NDArray[np.uint8]:
    """Return (H, W * bytes_per_pixel) uint8, a view of the message without its row padding.

    Raises:
        BadImage: if the step is shorter than a row.
    """
    row_bytes = message.width * bytes_per_pixel
    if message.step < row_bytes:
        raise BadImage(
            "bad_data",
            f"expected a step of at least {row_bytes} bytes for {message.width} pixels of "
            f"{message.encoding}, got {message.step}",
        )
    return np.frombuffer(message.data, np.uint8).reshape(message.height, -1)[:, :row_bytes]


def _without_padding(message: Image, bytes_per_pixel: int) -> Image:
    """Return the message itself, or a copy of it where rows are padded."""
    rows = _rows(message, bytes_per_pixel)
    row_bytes = rows.shape[1]
    if message.step == row_bytes:
        return message
    pixels = rows.reshape(message.height, message.width, bytes_per_pixel)
    dense = _image_message(message.header, pixels, message.encoding, row_bytes)
    dense.is_bigendian = message.is_bigendian
    return dense


def _rgb_from_mono16(rows: NDArray[np.uint8], is_bigendian: bool) -> NDArray[np.uint8]:
    """Read (H, 2 W) bytes as 16-bit grey and scale 0..65535 to 0..255, rounded."""
    values = np.ascontiguousarray(rows).view(">u2" if is_bigendian else "<u2")
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


@cache
def _bridge() -> Any:
    """Load cv_bridge once: its CvBridge, or as a string the reason why there is none."""
    # One that was built for another numpy crashes in its first conversion, not when imported.
    trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True)
    if trial.returncode != 0:
        error = trial.stderr.strip().rpartition("\n")[2]
        return f"exit status {trial.returncode}: {error}"
    return importlib.import_module("cv_bridge").CvBridge()


def _rgb_from_bridge(message: Image) -> NDArray[np.uint8]:
    bridge = _bridge()
    if isinstance(bridge, str):
        raise BadImage(
            "bad_encoding",
            f"encoding '{message.encoding}' needs cv_bridge, which does not run ({bridge}); "
            "install ros-<distro>-cv-bridge and the numpy it was built for, or publish one of "
            f"{', '.join(_BYTES_PER_PIXEL)}",
        )
    # Two pixels share their colour. OpenCV 4.6 writes behind an odd row, newer ones refuse it.
    if message.encoding.startswith("yuv422") and message.width % 2:
        raise BadImage(
            "bad_size",
            f"expected an even width for encoding '{message.encoding}', got {message.width}",
        )
    try:
        dtype, channels = bridge.encoding_to_dtype_with_channels(message.encoding)
        # cv_bridge shifts the rows where their padding is no whole number of pixels, that of
        # ROS 1 wherever they are padded.
        dense = _without_padding(message, np.dtype(dtype).itemsize * channels)
        converted = np.asarray(bridge.imgmsg_to_cv2(dense, desired_encoding="rgb8"))
    except BadImage:
        raise
    # cv_bridge passes on whatever OpenCV, numpy or its compiled half raise.
    except Exception as error:
        raise BadImage(
            "bad_encoding",
            f"expected an encoding that cv_bridge makes rgb8, got '{message.encoding}': {error}; "
            f"publish one of {', '.join(_BYTES_PER_PIXEL)}",
        ) from error
    expected = (message.height, message.width, 3)
    if converted.shape != expected or converted.dtype != np.uint8:
        raise BadImage(
            "bad_encoding",
            f"expected {expected} uint8 from cv_bridge for encoding '{message.encoding}', got "
            f"{converted.shape} {converted.dtype}",
        )
    return converted


def _check_png(start: bytes) -> None:
    width, height = np.frombuffer(start[_PNG_SIZE], ">u4").tolist()
    if width * height == 0 or width * height > MAX_PIXELS:
        raise BadImage(
            "bad_size", f"expected an image of 1 to {MAX_PIXELS} pixels, got {width}x{height}"
        )
    if start[_PNG_BIT_DEPTH] > 8:
        raise BadImage(
            "bad_encoding",
            f"expected a PNG of 8 bits per channel, got {start[_PNG_BIT_DEPTH]} (depth images "
            "are no camera images)",
        )


def _check_jpeg(data: bytes) -> None:
    """Refuse truncated data, which OpenCV would fill with grey, and impossible sizes."""
    # Webcams pad their buffers with zeros.
    if not data.rstrip(b"\0").endswith(_JPEG_END):
        raise BadImage("bad_data", f"expected a JPEG with its end marker, got {len(data)} bytes")
    width, height = _jpeg_size(data)
    pixels = width * height
    if pixels == 0 or pixels > min(MAX_PIXELS, MAX_JPEG_PIXELS_PER_BYTE * len(data)):
        raise BadImage(
            "bad_size", f"expected a size that fits {len(data)} bytes of JPEG, got {width}x{height}"
        )


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) from the frame header of a JPEG."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _JPEG_FRAME_MARKERS:
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            return int.from_bytes(data[position + 7 : position + 9], "big"), height
        if marker == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise BadImage("bad_data", f"expected a JPEG frame header in {len(data)} bytes, got none")
