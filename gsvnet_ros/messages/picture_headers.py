# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What the headers of JPEG and PNG data say of the work that decoding them will be.

Read before a decoder sees the data: a few hundred bytes may ask for gigabytes or minutes. So the
headers are read as the decoders read them, and what these would read in another way is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"

_PNG_HEADER_BYTES = 33
_PNG_HEADER_START = b"\0\0\0\rIHDR"

_MAX_JPEG_SEGMENTS = 4096

_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = b"\xff\xda"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
# The others are followed by no length, or mean nothing: the decoder skips them in other ways.
_JPEG_SEGMENTS = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xFF)})

_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
# Within a scan 0xFF is followed by 0 where it belongs to the data, by 0xD0 to 0xD7 at restarts.
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class PictureHeader:
    """What a decoder will make of data.

    Attributes:
        width: columns in pixels.
        height: rows in pixels.
        bits: per channel.
        num_scans: how often the decoder passes over all pixels.
        is_buffered: whether it holds all of them in memory meanwhile, in up to 8 bytes each.
        num_bytes: that belong to the picture; what follows is no part of it.
    """

    width: int
    height: int
    bits: int
    num_scans: int
    is_buffered: bool
    num_bytes: int


def read_png_header(data: bytes) -> PictureHeader:
    """Read the header of PNG data.

    Raises:
        ValueError: if it is no PNG header.
    """
    if len(data) < _PNG_HEADER_BYTES or not data.startswith(PNG_START + _PNG_HEADER_START):
        raise ValueError(f"expected a PNG header in {len(data)} bytes, got none")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return PictureHeader(width, height, data[24], 1, is_buffered=False, num_bytes=len(data))


def read_jpeg_header(data: bytes) -> PictureHeader:
    """Read the frame header of JPEG data, and walk over its segments and scans to its end.

    Raises:
        ValueError: if the data is cut off, or damaged between its segments.
    """
    width = height = bits = num_channels = num_scans = 0
    is_buffered = False
    at = len(JPEG_START)
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker, at = _next_marker(data, at)
        if num_scans and marker == _JPEG_END[1]:
            break
        start, at = at, at + _segment_bytes(data, at, marker)
        if marker in _JPEG_FRAMES:
            if bits or at - start < 8:
                raise ValueError("expected one JPEG frame header, got a second or a broken one")
            bits, num_channels = data[start + 2], data[start + 7]
            is_buffered = marker not in _JPEG_SEQUENTIAL
            height, width = (int.from_bytes(data[start + i : start + i + 2], "big") for i in (3, 5))
        elif marker == _JPEG_SCAN[1]:
            if not bits:
                raise ValueError("expected a JPEG frame header before the first scan, got none")
            is_buffered = is_buffered or (num_scans == 0 and data[start + 2] < num_channels)
            num_scans += 1
            at = _end_of_scan(data, at, is_buffered)
    else:
        raise ValueError(f"expected at most {_MAX_JPEG_SEGMENTS} JPEG segments, got more")
    # Those that the walk passed by in damaged data too: the decoder may find them.
    num_scans = data.count(_JPEG_SCAN, 0, at)
    return PictureHeader(width, height, bits, num_scans, is_buffered, num_bytes=at)


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker at a position, and the position behind it."""
    found = _MARKER.match(data, at)
    if found is None:
        raise ValueError(f"expected a JPEG marker at byte {at} of {len(data)}, got none")
    return found[1][0], found.end()


def _segment_bytes(data: bytes, at: int, marker: int) -> int:
    """Return the length of the segment that begins behind a marker."""
    length = int.from_bytes(data[at : at + 2], "big")
    if marker not in _JPEG_SEGMENTS or length < 2 or at + length > len(data):
        raise ValueError(
            f"expected a JPEG segment at byte {at} of {len(data)}, got marker FF{marker:02X} with "
            f"a length of {length}"
        )
    return length


def _end_of_scan(data: bytes, at: int, is_one_of_many: bool) -> int:
    """Return the position of the marker that ends the data of a scan.

    Args:
        data: of the picture.
        at: where the scan's data begins.
        is_one_of_many: whether scans may follow, with segments of their own between them.
    """
    if not is_one_of_many:  # as cameras send them: much faster than to search for any marker
        end = data.find(_JPEG_END, at)
    else:
        found = _MARKER_AFTER_SCAN.search(data, at)
        end = found.start() if found else -1
    if end < 0:
        raise ValueError(f"expected a JPEG with its end marker, got {len(data)} bytes without")
    return end
