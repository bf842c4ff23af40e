# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image files that somebody else has made: their size is known before they are decoded."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_offline.sources import image_file
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.image_header import ImageHeader, read_header

HEIGHT, WIDTH = 21, 34

FORMATS = {
    "PNG": (".png", []),
    "JPEG": (".jpg", []),
    "progressive JPEG": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "BMP": (".bmp", []),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "lossless WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "TIFF": (".tiff", []),
}


def image() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT)), np.uint8)


def encoded(format_name: str, pixels: NDArray[np.uint8] | None = None) -> bytes:
    suffix, options = FORMATS[format_name]
    _, data = cv2.imencode(suffix, image() if pixels is None else pixels, options)
    return data.tobytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width: int, height: int, content: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where anything is decoded."""

    def decode(*_: object) -> NoReturn:
        pytest.fail("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)


@pytest.mark.parametrize("format_name", FORMATS)
def test_size_of_every_format(format_name: str) -> None:
    header = read_header(io.BytesIO(encoded(format_name)))
    assert header == ImageHeader(format_name.split()[-1], HEIGHT, WIDTH)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_the_content_decides(format_name: str, suffix: str, tmp_path: Path) -> None:
    """JPEGs that are called .png are common."""
    path = tmp_path / f"image{suffix}"
    path.write_bytes(encoded(format_name))
    decoded = read_image(path)
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(decoded[..., ::-1].astype(int) - image()).mean() < 12


@pytest.mark.parametrize("format_name", FORMATS)
def test_exception_of_every_cut_header(format_name: str, tmp_path: Path) -> None:
    """However much of a file there is, it is read or refused."""
    data = encoded(format_name)
    path = tmp_path / "image.png"
    for length in (*range(60), *range(60, len(data), 97)):
        path.write_bytes(data[:length])
        try:
            read_image(path)
        except ValueError as error:
            assert "expected" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        png(30_000, 30_000, b""),
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 9000, -9000) + bytes(24),
        b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + b"\xff\xff\xff\xff\xff\xff",
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 17, 8, 65_000, 65_000) + bytes(20),
        b"II*\0" + struct.pack("<IHHHIIHHII", 8, 2, 256, 4, 1, 99_999, 257, 4, 1, 99_999),
        # A small image in a tile that is not: the tile is decoded as a whole.
        b"II*\0"
        + struct.pack("<IH", 8, 4)
        + b"".join(
            struct.pack("<HHII", tag, 4, 1, value)
            for tag, value in ((256, 10), (257, 10), (322, 60_000), (323, 60_000))
        ),
    ],
    ids=["PNG", "BMP", "WebP", "JPEG", "TIFF", "TIFF tile"],
)
def test_exception_of_size(data: bytes, tmp_path: Path, no_decoder: None) -> None:
    """A PNG of 109 kB was decoded for 18 s before its size was refused."""
    path = tmp_path / "image.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"at most 67108864 pixels, got \d+x\d+"):
        read_image(path)


def test_the_largest_image_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded("PNG"))
    monkeypatch.setattr(image_file, "MAX_PIXELS", HEIGHT * WIDTH)
    assert read_image(path).shape == (HEIGHT, WIDTH, 3)
    monkeypatch.setattr(image_file, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    with pytest.raises(ValueError, match="pixels"):
        read_image(path)


def test_exception_of_a_file_that_is_too_long(tmp_path: Path, no_decoder: None) -> None:
    """Sparse: it takes no place on the disk, but would take it in memory."""
    path = tmp_path / "image.png"
    path.write_bytes(encoded("PNG"))
    os.truncate(path, 1 << 36)
    with pytest.raises(ValueError, match="68719476736 bytes for 34x21 pixels"):
        read_image(path)


def test_exception_of_scans(tmp_path: Path, no_decoder: None) -> None:
    data = encoded("progressive JPEG")
    start = data.index(b"\xff\xda")
    scan = data[start : data.index(b"\xff", start + 2)]
    path = tmp_path / "image.jpg"
    path.write_bytes(data[:start] + 200 * scan + data[start:])
    with pytest.raises(ValueError, match=r"at most 100 scans, got 2\d\d"):
        read_image(path)


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xD0, 0xD7, 0xD8, 0xDA])
def test_exception_of_a_marker_without_length(
    marker: int, tmp_path: Path, no_decoder: None
) -> None:
    """Read as one with a length, it hides the header with the true size from a check."""
    data = encoded("JPEG")
    path = tmp_path / "image.jpg"
    path.write_bytes(data[:2] + bytes([0xFF, marker]) + data[2:])
    with pytest.raises(ValueError, match=r"JPEG whose size comes|damaged"):
        read_image(path)


def test_exception_of_other_formats(tmp_path: Path, no_decoder: None) -> None:
    path = tmp_path / "image.png"
    for data in (b"", b"P6 2 2 255\n" + bytes(12), b"GIF89a" + bytes(50), b"\x76\x2f\x31\x01"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="expected a PNG, JPEG, BMP, WebP or TIFF image"):
            read_image(path)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG"])
def test_exception_of_damage(format_name: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded(format_name)[:200])
    if format_name == "PNG":
        with pytest.raises(ValueError, match="PNG data is damaged"):
            read_image(path)
