# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A folder of image files as a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.images.resize import Size, resize_image, resize_labels
from gsvnet_offline.sources.file_order import natural_order
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.label_png import read_labels
from gsvnet_offline.sources.source import DEFAULT_RATE_HZ

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


class ImageFolder:
    """The images of a folder in the order of their names, numbers counted as numbers.

    Labels are looked for in a folder `labels` beside it: single-channel PNGs of class ids
    with the names of the images. A folder that holds `images/` stands for that.

    Args:
        folder: of the images.
        size: (height, width) to resize to, or None.
        rate_hz: images per second.
        num_images: at most this many.

    Raises:
        ValueError: if the folder holds no image.
    """

    is_live = False
    is_recording = True

    def __init__(
        self,
        folder: Path,
        size: Size | None = None,
        rate_hz: float | None = None,
        num_images: int | None = None,
    ) -> None:
        self.rate_hz = rate_hz or DEFAULT_RATE_HZ
        self._size = size
        files = _image_files(folder)
        if not files and (folder / "images").is_dir():
            folder = folder / "images"
            files = _image_files(folder)
        if not files:
            known = " ".join(sorted(SUFFIXES))
            raise ValueError(f"expected image files ({known}) in {folder}, found none")
        self._files = files[:num_images]
        self._labels = folder.resolve().parent / "labels"

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Return the images from the start, each (H, W, 3) uint8 RGB."""
        for path in self._files:
            yield resize_image(read_image(path), self._size)

    def labels(self, index: int) -> NDArray[np.uint8] | None:
        """Return the (H, W) uint8 class ids of image `index`, or None if unknown."""
        path = self._labels / f"{self._files[index].stem}.png"
        return resize_labels(read_labels(path), self._size) if path.is_file() else None


def _image_files(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(files, key=natural_order)
