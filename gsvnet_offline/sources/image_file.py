# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image files of any origin, read without trusting them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_offline.names import printable_name
from gsvnet_offline.sources.image_header import ImageHeader, read_header
from gsvnet_offline.sources.regular_file import open_regular_file
from gsvnet_offline.sources.source import MAX_PIXELS

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Of the files that count as images. What is in them decides how they are decoded."""

MAX_SCANS = 100
"""A progressive JPEG of common encoders has about ten scans, and each is decoded over the whole
image: thousands of them keep a small file busy for minutes."""

_BYTES_PER_PIXEL = 8
"""Four channels of 16 bits, not compressed; no image takes more."""

_METADATA_BYTES = 1 << 26


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (H, W, 3) uint8 RGB, upright as its metadata says.

    A file in another of the known formats than its name says is read as what it is.

    Args:
        path: of a regular file.

    Raises:
        ValueError: if the file is not a readable image, or one of more than `MAX_PIXELS`.
        OSError: if the file cannot be opened.
    """
    return np.asarray(cv2.cvtColor(_decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def _decoded(path: Path, mode: int) -> NDArray[np.uint8]:
    """Decode an image file after a look at its header."""
    with open_regular_file(path) as file:
        try:
            header, data = _checked(file)
        except ValueError as error:
            raise ValueError(f"{printable_name(path)}: {error}") from None
    try:
        # OpenCV opens no file itself: it ends the process on names that are not UTF-8.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(
            f"{printable_name(path)}: expected a readable image, but its {header.format} data "
            "is damaged"
        )
    return np.asarray(image)


def _checked(file: BinaryIO) -> tuple[ImageHeader, bytes]:
    """Return header and content of an image file that can be decoded at a bounded cost."""
    header = read_header(file)
    num_pixels = header.height * header.width
    if num_pixels > MAX_PIXELS:
        raise ValueError(
            f"expected an image of at most {MAX_PIXELS} pixels, got {header.width}x{header.height}"
        )
    num_bytes = os.fstat(file.fileno()).st_size
    if num_bytes > _METADATA_BYTES + _BYTES_PER_PIXEL * num_pixels:
        raise ValueError(
            f"expected an image file, got {num_bytes} bytes for {header.width}x{header.height} "
            "pixels"
        )
    file.seek(0)
    data = file.read()
    # In compressed data a zero follows every 0xff, so that this counts headers of scans only.
    num_scans = data.count(b"\xff\xda") if header.format == "JPEG" else 0
    if num_scans > MAX_SCANS:
        raise ValueError(f"expected a JPEG of at most {MAX_SCANS} scans, got {num_scans}")
    return header, data
