# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The encodings of raw images that cameras send, and the way from each to RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoding:
    """How the pixels of one encoding lie in a message.

    Attributes:
        bytes_per_pixel: of one row of the message.
        conversion: OpenCV's code of the conversion to RGB; None where the pixels are RGB.
        rows_sharing: rows of pixels that share their colour. Where there are two, the colours
            follow the grey levels in half as many rows again.
        columns_sharing: columns of pixels that share their colour.
        has_16_bits: per value; else 8.
    """

    bytes_per_pixel: int
    conversion: int | None
    rows_sharing: int = 1
    columns_sharing: int = 1
    has_16_bits: bool = False

    def message_rows(self, height: int) -> int:
        """Return the number of rows in a message that holds an image of this height."""
        return height * 3 // 2 if self.rows_sharing == 2 else height


_BAYER = {
    # ROS names the first two pixels of the first two rows, OpenCV those of the second ones.
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}

_COLOURS = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
}

_UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, columns_sharing=2)
_YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUY2, columns_sharing=2)

ENCODINGS: dict[str, Encoding] = {
    **{f"{name}8": Encoding(channels, code) for name, (channels, code) in _COLOURS.items()},
    **{
        f"{name}16": Encoding(2 * channels, code, has_16_bits=True)
        for name, (channels, code) in _COLOURS.items()
    },
    **{f"bayer_{pattern}8": Encoding(1, code) for pattern, code in _BAYER.items()},
    **{
        f"bayer_{pattern}16": Encoding(2, code, has_16_bits=True)
        for pattern, code in _BAYER.items()
    },
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": Encoding(1, cv2.COLOR_YUV2RGB_NV12, rows_sharing=2, columns_sharing=2),
    "nv21": Encoding(1, cv2.COLOR_YUV2RGB_NV21, rows_sharing=2, columns_sharing=2),
    # OpenCV's names of a type say nothing of colours; these are what OpenCV itself takes them for.
    "8UC1": Encoding(1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding(3, cv2.COLOR_BGR2RGB),
    "8UC4": Encoding(4, cv2.COLOR_BGRA2RGB),
    "16UC1": Encoding(2, cv2.COLOR_GRAY2RGB, has_16_bits=True),
}
"""By the name in a message. Luma and colour of the YUV ones are those of BT.601, 16 to 235."""


def rgb_from_rows(
    rows: NDArray[np.uint8], encoding: Encoding, is_bigendian: bool
) -> NDArray[np.uint8]:
    """Return the pixels of an image.

    Args:
        rows: (rows of the message, W * bytes per pixel) uint8.
        encoding: of the rows.
        is_bigendian: order of the bytes in values of 16 bits.

    Returns:
        (H, W, 3) uint8 RGB; a view of the rows where they are RGB of 8 bits.
    """
    values: NDArray[np.uint8 | np.uint16] = rows
    bytes_per_value = 2 if encoding.has_16_bits else 1
    if encoding.has_16_bits:
        values = np.ascontiguousarray(rows).view(">u2" if is_bigendian else "<u2").astype(np.uint16)
    channels = encoding.bytes_per_pixel // bytes_per_value
    pixels = values.reshape(len(rows), -1, channels) if channels > 1 else values
    rgb = pixels if encoding.conversion is None else cv2.cvtColor(pixels, encoding.conversion)
    if encoding.has_16_bits:
        # 0..65535 to 0..255, rounded: 65535 is 255 * 257.
        rgb = (rgb.astype(np.uint32) + 128) // 257
    return np.asarray(rgb, np.uint8)
