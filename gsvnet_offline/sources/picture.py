# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Decoded video frames as upright RGB images."""

from __future__ import annotations

from typing import cast

import av
import numpy as np
from numpy.typing import NDArray


def upright_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return a decoded frame as (H, W, 3) uint8 RGB, turned as its metadata says.

    Transparency is left out, more than 8 bits are rounded; colour matrix and range are the
    frame's own.

    Convention: the display matrix maps the pixel (x, y) to (a x + c y, b x + d y), up to a shift
    that makes coordinates positive again; turns by quarters and mirrorings are carried out,
    anything else is left alone.

    Args:
        frame: progressive, of any pixel format.
    """
    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    matrix = _display_matrix(frame)
    if matrix is None:
        return image
    a, b, _, c, d = (int(value) for value in matrix[:5])
    if b == c == 0 and a and d:
        image = image[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    elif a == d == 0 and b and c:
        image = image.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]
    return np.ascontiguousarray(image)


def _display_matrix(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """Return the nine numbers of the display matrix, row by row, None where there is none."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(cast("bytes", matrix), np.int32)
