# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Damaged messages of cameras: raw and compressed images, calibrations."""

from __future__ import annotations

import functools
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from fuzzing import FuzzKind, damaged
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from gsvnet_ros.messages.camera_calibration import scale_camera_info
from gsvnet_ros.messages.encodings import ENCODINGS
from gsvnet_ros.messages.image_messages import BadImage, rgb_from_compressed, rgb_from_image

SIZES = (0, 1, 2, 3, 7, 48, 64, 65, 4096, 16384, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
TEXTS = ("", "RGB8", "rgb8 ", "nonsense", "x" * 5000, "\n[ERROR]", "\x1b[2J", "ü\u202e")


@functools.cache
def picture(channels: int) -> NDArray[np.uint8]:
    """Return smooth random pixels, (48, 64, channels)."""
    cells = np.random.default_rng(0).integers(0, 256, (6, 8, channels), np.uint8)
    return np.asarray(cv2.resize(cells, (64, 48), interpolation=cv2.INTER_CUBIC), np.uint8)


def encoded(extension: str, channels: int, *options: int) -> bytes:
    """Return the pixels as a file."""
    return bytes(cv2.imencode(extension, picture(channels), options)[1])


@functools.cache
def jpegs() -> tuple[bytes, ...]:
    """Return good JPEGs: baseline, grey, progressive, with restarts, with full colours."""
    return (
        encoded(".jpg", 3),
        encoded(".jpg", 1),
        encoded(".jpg", 3, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded(".jpg", 3, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        encoded(".jpg", 3, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    )


@functools.cache
def pngs() -> tuple[bytes, ...]:
    """Return good PNGs: colours, transparent, grey, of 16 bits."""
    deep = picture(3).astype(np.uint16) * 257
    return (
        encoded(".png", 3),
        encoded(".png", 4),
        encoded(".png", 1),
        bytes(cv2.imencode(".png", deep)[1]),
    )


def pick(random: np.random.Generator, choices: Any) -> Any:
    """Return one of several things."""
    return choices[int(random.integers(len(choices)))]


def make_image(random: np.random.Generator) -> Image:
    """Return a raw image some fields of which do not fit the others."""
    encoding = pick(random, tuple(ENCODINGS))
    height, width = int(random.integers(1, 50)), int(random.integers(1, 70))
    step = width * ENCODINGS[encoding].bytes_per_pixel + int(pick(random, (0, 0, 1, 13)))
    num_bytes = ENCODINGS[encoding].message_rows(height) * step
    for _ in range(int(random.integers(0, 3))):
        what = int(random.integers(6))
        if what == 0:
            height = pick(random, SIZES)
        elif what == 1:
            width = pick(random, SIZES)
        elif what == 2:
            step = pick(random, SIZES)
        elif what == 3:
            encoding = pick(random, (*ENCODINGS, *TEXTS))
        elif what == 4:
            num_bytes = max(0, num_bytes + int(random.integers(-99, 99)))
        else:
            # Large, and of sizes that agree.
            height, width = pick(random, ((4096, 4096), (1, 1 << 24), (1 << 24, 1)))
            encoding, step, num_bytes = "mono8", width, 1 << 24
    message = Image(height=height, width=width, encoding=encoding, step=step)
    message.is_bigendian = int(random.integers(256))
    message.header.frame_id = pick(random, ("camera", *TEXTS))
    message.data.frombytes(random.bytes(num_bytes) if num_bytes < 1 << 20 else bytes(num_bytes))
    return message


def compressed(data: bytes, random: np.random.Generator) -> CompressedImage:
    """Return a compressed image of these bytes."""
    message = CompressedImage(format=pick(random, ("jpeg", "png", *TEXTS)))
    message.data.frombytes(data)
    return message


def make_jpeg(random: np.random.Generator) -> CompressedImage:
    """Return a JPEG that is damaged anywhere, or in its segments and markers."""
    data = pick(random, jpegs())
    what = int(random.integers(6))
    if what == 0:
        return compressed(damaged(data, random), random)
    parts = [b"\xff" + part for part in data.split(b"\xff")[1:]]
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(len(parts)))
        if what == 1:  # another size, more channels, other precision
            frame = next(i for i, part in enumerate(parts) if part[1:2] in (b"\xc0", b"\xc2"))
            header = bytearray(parts[frame])
            header[5:9] = struct.pack(">HH", *(pick(random, SIZES) % 65536 for _ in range(2)))
            header[int(random.integers(4, len(header)))] ^= 1 << int(random.integers(8))
            parts[frame] = bytes(header)
        elif what == 2:  # any marker anywhere
            length = int(random.integers(0, 65536)).to_bytes(2, "big")
            parts.insert(at, bytes([0xFF, int(random.integers(256))]) + length)
        elif what == 3:  # the same again, often
            parts[at:at] = parts[at : at + int(random.integers(1, 5))] * int(
                pick(random, (1, 3, 150, 2000))
            )
        elif what == 4:  # another order
            other = int(random.integers(len(parts)))
            parts[at], parts[other] = parts[other], parts[at]
        else:  # bytes behind the end
            parts.append(pick(random, (b"\0" * 99, b"\r\n", *jpegs(), random.bytes(999))))
    return compressed(b"".join(parts), random)


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its sum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and data of every chunk."""
    found, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


@functools.cache
def bomb() -> bytes:
    """Return 64 MB of zeros, deflated."""
    return zlib.compress(bytes(1 << 26), 9)


def make_png(random: np.random.Generator) -> CompressedImage:
    """Return a PNG that is damaged anywhere, or in its chunks, whose sums are right."""
    png = pick(random, pngs())
    what = int(random.integers(6))
    if what == 0:
        return compressed(damaged(png, random), random)
    chunks = chunks_of(png)
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(len(chunks)))
        name, data = chunks[at]
        if what == 1:  # another size, depth, colour type or interlacing
            header = bytearray(chunks[0][1])
            header[:8] = struct.pack(">II", *(pick(random, SIZES) for _ in range(2)))
            header[int(random.integers(8, 13))] = int(pick(random, (0, 1, 2, 3, 4, 6, 8, 16, 255)))
            chunks[0] = (b"IHDR", bytes(header))
        elif what == 2:
            chunks[at] = (name, damaged(data, random))
        elif what == 3:  # pixels, texts and profiles that inflate to much
            target = pick(random, (b"IDAT", b"zTXt", b"iCCP", b"iTXt", b"eXIf", b"acTL", b"fcTL"))
            content = bomb() if target == b"IDAT" else b"name\0\0" + bomb()
            chunks.insert(at, (target, content))
        elif what == 4:  # the same again, often
            chunks[at:at] = [chunks[at]] * int(pick(random, (1, 3, 2000)))
        else:  # another order
            other = int(random.integers(len(chunks)))
            chunks[at], chunks[other] = chunks[other], chunks[at]
    return compressed(png[:8] + b"".join(chunk(*part) for part in chunks), random)


def make_camera_info(random: np.random.Generator) -> CameraInfo:
    """Return a calibration some numbers of which make no sense."""
    numbers = (0.0, -1.0, 1e-300, 1e300, float("inf"), float("nan"), 500.0)

    def some(count: int) -> list[float]:
        return [float(pick(random, numbers)) for _ in range(count)]

    info = CameraInfo(width=64, height=48, k=[500.0] * 9, p=[500.0] * 12)
    for _ in range(int(random.integers(1, 5))):
        what = int(random.integers(8))
        if what < 4:
            name = ("width", "height", "binning_x", "binning_y")[what]
            setattr(info, name, pick(random, SIZES))
        elif what == 4:
            sides = [pick(random, SIZES) for _ in range(4)]
            info.roi = RegionOfInterest(**dict(zip(ROI, sides, strict=True)))
        elif what == 5:
            info.k, info.p = some(9), some(12)
        elif what == 6:
            info.d = some(int(pick(random, (0, 5, 14, 100_000))))
        else:
            info.distortion_model = pick(random, TEXTS)
    return info


ROI = ("x_offset", "y_offset", "width", "height")


def read_raw(message: Image) -> None:
    """Read a raw image as the node does."""
    check_rgb(rgb_from_image(message))


def read_compressed(message: CompressedImage) -> None:
    """Read a compressed image as the node does."""
    check_rgb(rgb_from_compressed(message))


def check_rgb(pixels: NDArray[np.uint8]) -> None:
    """Check what an image is read as."""
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    pixels.max()  # every one is there


def read_camera_info(info: CameraInfo) -> None:
    """Scale a calibration as the node does, and send it."""
    serialize_message(scale_camera_info(info, Header(), (48, 64), (24, 32)))


KINDS = [
    FuzzKind("image", make_image, read_raw, (BadImage,)),
    FuzzKind("jpeg", make_jpeg, read_compressed, (BadImage,)),
    FuzzKind("png", make_png, read_compressed, (BadImage,)),
    FuzzKind("camera_info", make_camera_info, read_camera_info, (ValueError,)),
]
