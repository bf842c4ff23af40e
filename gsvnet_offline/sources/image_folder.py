# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image files as a source: those of a folder, or a single one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.images.resize import Size, resize_image, resize_labels
from gsvnet_offline.names import printable_name
from gsvnet_offline.sources.file_order import natural_order
from gsvnet_offline.sources.image_file import SUFFIXES, read_image
from gsvnet_offline.sources.label_png import read_labels
from gsvnet_offline.sources.source import DEFAULT_RATE_HZ, Frame, SourceItem, UnreadableFrame


class ImageFolder:
    """The images of a folder in the order of their names, numbers counted as numbers.

    Hidden files and folders are no images, whatever they are called. Labels are looked for in a
    folder `labels` beside it: single-channel PNGs of class ids with the names of the images. A
    folder that holds `images/` stands for that.

    Args:
        path: the folder, or one image file.
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
        path: Path,
        size: Size | None = None,
        rate_hz: float | None = None,
        num_images: int | None = None,
    ) -> None:
        self.rate_hz = rate_hz or DEFAULT_RATE_HZ
        self._size = size
        folder, files = path.parent, [path]
        if path.is_dir():
            folder, files = path, _image_files(path)
        if not files and (folder / "images").is_dir():
            folder = folder / "images"
            files = _image_files(folder)
        if not files:
            known = " ".join(sorted(SUFFIXES))
            raise ValueError(
                f"expected image files ({known}) in {printable_name(path)}, found none"
            )
        self._files = files[:num_images]
        self.num_frames: int | None = len(self._files)
        self._labels = folder.resolve().parent / "labels"

    def frames(self) -> Iterator[SourceItem]:
        """Return the images from the start; one that cannot be read does not end the folder."""
        for number, path in enumerate(self._files):
            try:
                image = resize_image(read_image(path), self._size)
            except OSError as error:
                yield UnreadableFrame(number, None, path.name, error.strerror or str(error))
            except ValueError as error:
                reason = str(error).removeprefix(f"{printable_name(path)}: ")
                yield UnreadableFrame(number, None, path.name, reason)
            else:
                yield Frame(number, None, path.name, image)

    def labels(self, number: int) -> NDArray[np.uint8] | None:
        """Return the (H, W) uint8 class ids of the image with this number, None if unknown."""
        path = self._labels / f"{self._files[number].stem}.png"
        return resize_labels(read_labels(path), self._size) if path.is_file() else None


def _image_files(folder: Path) -> list[Path]:
    """Return what counts as an image: pipes and broken links do, since something is lost there."""
    files = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    )
    return sorted(files, key=natural_order)
