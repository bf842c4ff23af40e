# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB arrays and back."""

from __future__ import annotations

import difflib
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gsvnet_ros import MAX_IMAGE_PIXELS
from gsvnet_ros.messages.encodings import ENCODINGS, rgb_from_rows
from gsvnet_ros.messages.peer_text import peer_text
from gsvnet_ros.messages.picture_headers import (
    JPEG_START,
    PNG_START,
    PictureHeader,
    read_jpeg_header,
    read_png_header,
)

MAX_SCANS = 100
"""Progressive JPEGs have about ten; every scan passes over all pixels, however short its data."""

MAX_SCANNED_PIXELS = 1 << 28
"""Scans times pixels where a picture is buffered: 32 scans of 3840x2160."""

MAX_BUFFERED_PIXELS = 25_000_000
"""Of a picture in several scans: up to 275 MB while it is decoded."""

MAX_JPEG_PIXELS_PER_BYTE = 512
"""A JPEG spends at least a bit on 8x8 pixels; a header that promises more is broken."""

MAX_FRAME_ID_CHARACTERS = 1024
"""The header is copied to every output."""

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
        message: an image of one of the `ENCODINGS`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BadImage: for an encoding that is none of these, a size of zero or one that the encoding
            cannot have, a step shorter than a row, or data of another length than all rows have.
    """
    _check_header(message.header)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise BadImage("bad_encoding", _about_encoding(message.encoding))
    height, width, step = message.height, message.width, message.step
    _check_size(height, width)
    if height % encoding.rows_sharing or width % encoding.columns_sharing:
        even = "an even width" if encoding.rows_sharing == 1 else "even sides"
        raise BadImage(
            "bad_size", f"expected {even} for encoding '{message.encoding}', got {width}x{height}"
        )
    num_rows, row_bytes = encoding.message_rows(height), width * encoding.bytes_per_pixel
    if step < row_bytes:
        raise BadImage(
            "bad_data",
            f"expected a step of at least {row_bytes} bytes for {width} pixels of "
            f"{message.encoding}, got {step}",
        )
    if len(message.data) != num_rows * step:
        raise BadImage(
            "bad_data",
            f"expected {num_rows} rows * {step} bytes for {width}x{height} pixels of "
            f"{message.encoding}, got {len(message.data)} bytes",
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(num_rows, step)[:, :row_bytes]
    return rgb_from_rows(rows, encoding, bool(message.is_bigendian))


def rgb_from_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG message of 8 bits per channel.

    The orientation tag of a JPEG is ignored, so that pixels stay where camera_info says. Bytes
    behind its end are ignored: drivers hand over the whole buffer.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BadImage: if the data is neither, is truncated or damaged, has 16 bits, or would take
            longer or more memory than an image of a camera.
    """
    _check_header(message.header)
    data = message.data.tobytes()
    is_png = data.startswith(PNG_START)
    if not is_png and not data.startswith(JPEG_START):
        raise BadImage(
            "bad_encoding",
            f"expected JPEG or PNG data, got format {peer_text(message.format)} whose {len(data)} "
            f"bytes start with {data[:8].hex() or 'nothing'}",
        )
    try:
        header = read_png_header(data) if is_png else read_jpeg_header(data)
    except ValueError as error:
        raise BadImage("bad_data", str(error)) from error
    _check_picture(
        header, MAX_IMAGE_PIXELS if is_png else MAX_JPEG_PIXELS_PER_BYTE * header.num_bytes
    )
    picture = np.frombuffer(data, np.uint8, header.num_bytes)
    try:
        bgr = cv2.imdecode(picture, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage("bad_data", f"OpenCV cannot decode the picture: {error.err}") from error
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


def _check_header(header: Header) -> None:
    if len(header.frame_id) > MAX_FRAME_ID_CHARACTERS:
        raise BadImage(
            "bad_data",
            f"expected a frame_id of at most {MAX_FRAME_ID_CHARACTERS} characters, got "
            f"{peer_text(header.frame_id)}",
        )


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= MAX_IMAGE_PIXELS:
        raise BadImage(
            "bad_size", f"expected an image of 1 to {MAX_IMAGE_PIXELS} pixels, got {width}x{height}"
        )


def _check_picture(header: PictureHeader, max_pixels: int) -> None:
    """Refuse a picture that would take more time or memory than one of a camera."""
    _check_size(header.height, header.width)
    num_pixels, size = header.width * header.height, f"{header.width}x{header.height}"
    if num_pixels > max_pixels:
        raise BadImage(
            "bad_size", f"expected a size that fits {header.num_bytes} bytes of JPEG, got {size}"
        )
    scanned_pixels = header.num_scans * num_pixels
    if header.num_scans > MAX_SCANS or (header.is_buffered and scanned_pixels > MAX_SCANNED_PIXELS):
        raise BadImage(
            "bad_data",
            f"expected at most {MAX_SCANS} scans, and {MAX_SCANNED_PIXELS} pixels in all of them, "
            f"got {header.num_scans} scans of {size}",
        )
    if header.is_buffered and num_pixels > MAX_BUFFERED_PIXELS:
        raise BadImage(
            "bad_size",
            f"expected at most {MAX_BUFFERED_PIXELS} pixels of a progressive JPEG, got {size}",
        )
    if header.bits > 8:
        raise BadImage(
            "bad_encoding",
            f"expected 8 bits per channel, got {header.bits} (depth images are no camera images)",
        )


def _about_encoding(encoding: str) -> str:
    """Return what is wrong with an encoding that is not supported."""
    lower = {name.lower(): name for name in ENCODINGS}
    similar = difflib.get_close_matches(encoding[:80].lower(), lower, n=1)
    hint = f" (did the camera mean '{lower[similar[0]]}'?)" if similar else ""
    return f"got encoding {peer_text(encoding)}{hint}, expected one of {', '.join(ENCODINGS)}"
