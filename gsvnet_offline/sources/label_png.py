# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Label images: PNG files whose pixels are class ids, plain or as places in a palette."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_offline.sources.regular_file import read_regular_file
from gsvnet_offline.sources.source import MAX_PIXELS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_CHANNELS = {2: 3, 4: 2, 6: 4}
_MAX_RATIO = 1032
"""Deflate, which packs the pixels, makes no more bytes of one."""
_COLOURS = {2: "three colour channels", 4: "grey and alpha", 6: "colours and alpha"}


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Return a label PNG as (H, W) uint8 class ids.

    Args:
        path: of a PNG with one channel of at most 8 bits. In one with a palette, as labelme and
            Pascal VOC write it, the ids are the places in the palette, whatever the colours.

    Raises:
        ValueError: if the file is another one, damaged, or has more than `MAX_PIXELS` pixels.
        OSError: if the file cannot be opened.
    """
    content = read_regular_file(path)
    try:
        return _decoded(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_png(content: bytes) -> None:
    """Refuse a PNG that would take much to decode, before it is decoded.

    Args:
        content: of the file, with the signature of a PNG.

    Raises:
        ValueError: if it has no header, ends too early, or has more than `MAX_PIXELS` pixels or
            more than its bytes can hold.
    """
    if len(content) < 33 or content[8:16] != b"\0\0\0\rIHDR":
        raise ValueError("expected a PNG that begins with its header, got a damaged one")
    width, height, depth, colour_type = struct.unpack(">IIBB", content[16:26])
    if not 1 <= width * height <= MAX_PIXELS:
        raise ValueError(
            f"expected a PNG of at most {MAX_PIXELS} pixels, got {width}x{height} (width x height)"
        )
    num_bytes = height * (1 + width * depth * _CHANNELS.get(colour_type, 1) // 8)
    if num_bytes > _MAX_RATIO * len(content):
        raise ValueError(
            f"expected a whole PNG, got {len(content)} bytes, which cannot hold {width}x{height} "
            "pixels"
        )
    # OpenCV takes memory for as many bytes as a chunk says that it has, up to 2 GB.
    kind, place = b"", len(_SIGNATURE)
    while kind != b"IEND":
        if place + 12 > len(content):
            raise ValueError("expected a whole PNG, got one that ends too early")
        length, kind = struct.unpack_from(">I4s", content, place)
        place += 12 + length
    if place > len(content):
        raise ValueError("expected a whole PNG, got one that ends too early")


def _decoded(content: bytes) -> NDArray[np.uint8]:
    if not content.startswith(_SIGNATURE):
        raise ValueError(
            f"expected a PNG of class ids, got a file that begins with {content[:8]!r}; save "
            "labels as PNG, which loses nothing"
        )
    check_png(content)
    header, *others = _chunks(content)
    width, height, depth, colour_type = struct.unpack(">IIBB", header[1][:10])
    if colour_type in _COLOURS:
        raise ValueError(
            f"expected a single-channel PNG of class ids, got {_COLOURS[colour_type]}; replace "
            "each colour by the id of its class, or save the PNG with a palette"
        )
    if colour_type not in (_GREY, _PALETTE) or depth not in (1, 2, 4, 8):
        raise ValueError(
            f"expected a PNG of at most 8 bits per pixel, got {depth}; save the ids as 8 bits"
        )
    # Decoded as grey levels, the places in a palette stay what they are. What else the file
    # holds, palette and transparency included, does not matter.
    plain = struct.pack(">IIBB", width, height, depth, _GREY) + header[1][10:]
    kept = [(b"IHDR", plain), *(chunk for chunk in others if chunk[0] in (b"IDAT", b"IEND"))]
    data = _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in kept)
    try:
        levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        levels = None
    if levels is None or levels.shape != (height, width) or levels.dtype != np.uint8:
        raise ValueError("expected a PNG of class ids, got one whose pixels are damaged")
    # Levels of fewer than 8 bits are spread over 0..255.
    return np.asarray(levels // (255 // ((1 << depth) - 1)), np.uint8)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of the chunks of a PNG that `check_png` has seen.

    Raises:
        ValueError: if a chunk is damaged.
    """
    kind, place = b"", len(_SIGNATURE)
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, place)
        body = content[place + 8 : place + 8 + length]
        place += 12 + length
        if content[place - 4 : place] != struct.pack(">I", zlib.crc32(kind + body)):
            raise ValueError(f"expected a whole PNG, got one whose {kind!r} chunk is damaged")
        yield kind, body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
