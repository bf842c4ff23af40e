# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The size of an image, read from the header of its file: before anything else is read."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

FORMATS = ("PNG", "JPEG", "BMP", "WebP", "TIFF")

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the frame header, one for each kind of compression."""

_MAX_JPEG_SEGMENTS = 10_000

_TIFF_SHAPE = {256: "width", 257: "height", 322: "tile width", 323: "tile height"}
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I"}
_MAX_TIFF_TAGS = 1000


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file says.

    Attributes:
        format: one of `FORMATS`.
        height: of the image in pixels, before a rotation that its metadata asks for.
        width: of the image in pixels, before such a rotation.
    """

    format: str
    height: int
    width: int


def read_header(file: BinaryIO) -> ImageHeader:
    """Return format and size of an encoded image.

    The format is recognised by the content: what the file is called does not matter.

    Args:
        file: the image; only its header is read.

    Raises:
        ValueError: if it is none of the formats, or its header is damaged.
    """
    file.seek(0)
    start = file.read(16)
    try:
        if start.startswith(b"\x89PNG\r\n\x1a\n") and start[12:] == b"IHDR":
            return _header("PNG", *_unpack(file, ">II", 16))
        if start.startswith(b"\xff\xd8\xff"):
            return _header("JPEG", *_jpeg_size(file))
        if start.startswith(b"BM"):
            return _header("BMP", *_bmp_size(file))
        if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
            return _header("WebP", *_webp_size(file, start[12:]))
        if start.startswith((b"II*\0", b"MM\0*")):
            return _header("TIFF", *_tiff_size(file, "<" if start.startswith(b"I") else ">"))
    except struct.error:
        raise ValueError("expected a whole image file, got one that ends in its header") from None
    raise ValueError(
        f"expected a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image, got a file that begins "
        f"with {start[:8]!r}"
    )


def _unpack(file: BinaryIO, layout: str, place: int) -> tuple[Any, ...]:
    """Return the numbers at a place in the file; `struct.error` where it ends before."""
    file.seek(place, os.SEEK_SET)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _header(format_name: str, width: int, height: int) -> ImageHeader:
    if width < 1 or height < 1:
        raise ValueError(f"expected a size of 1x1 pixels or more, got {width}x{height}")
    return ImageHeader(format_name, height, width)


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """Return (width, height) of the frame header."""
    place = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        lead, marker, length = _unpack(file, ">BBH", place)
        if lead == marker == 0xFF:  # fill bytes may stand before a marker
            place += 1
        elif lead != 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xDA:
            # Neither markers without a length nor a scan belong here. Libraries differ in what
            # they make of the former, so a size that is read past them may be another's.
            break
        elif marker in _JPEG_SIZES:
            height, width = _unpack(file, ">HH", place + 5)
            return width, height
        else:
            place += 2 + length
    raise ValueError("expected a JPEG whose size comes before its first scan")


def _bmp_size(file: BinaryIO) -> tuple[int, int]:
    (header_bytes,) = _unpack(file, "<I", 14)
    if header_bytes == 12:
        width, height = _unpack(file, "<HH", 18)
    else:
        width, height = _unpack(file, "<ii", 18)
    return width, abs(height)  # negative where the rows are stored from the top


def _webp_size(file: BinaryIO, kind: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = _unpack(file, "<HBHB", 24)
        return 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)
    if kind == b"VP8L":
        (bits,) = _unpack(file, "<I", 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = _unpack(file, "<HH", 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff_size(file: BinaryIO, order: str) -> tuple[int, int]:
    """Return (width, height) of the first image; of its tiles where these are larger."""
    (place,) = _unpack(file, order + "I", 4)
    (num_tags,) = _unpack(file, order + "H", place)
    found: dict[str, int] = {}
    for index in range(min(num_tags, _MAX_TIFF_TAGS)):
        entry = place + 2 + 12 * index
        tag, kind, count = _unpack(file, order + "HHI", entry)
        if tag in _TIFF_SHAPE and kind in _TIFF_INTEGERS and count == 1:
            (found[_TIFF_SHAPE[tag]],) = _unpack(file, order + _TIFF_INTEGERS[kind], entry + 8)
    if "width" not in found or "height" not in found:
        raise ValueError("expected a TIFF that says its width and height, got one without")
    # A tile is decoded whole, however small the image is that it covers.
    return (
        max(found["width"], found.get("tile width", 0)),
        max(found["height"], found.get("tile height", 0)),
    )
