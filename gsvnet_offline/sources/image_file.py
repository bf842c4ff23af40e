# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One image file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_offline.sources.label_png import check_png
from gsvnet_offline.sources.regular_file import read_regular_file


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (H, W, 3) uint8 RGB, upright as its metadata says.

    Raises:
        ValueError: if the file is not a readable image, or a PNG as `check_png` refuses it.
        OSError: if the file cannot be opened.
    """
    content = read_regular_file(path)
    if content.startswith(b"\x89PNG"):
        try:
            check_png(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"expected a readable image, got {path}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
