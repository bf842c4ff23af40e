# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""CamVid, 480x360, 11 classes: a folder with train/ and val/, each with images/ and labels/."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_offline.sources.natural_order import natural_order

DATA_VARIABLE = "GSVNET_DATA"

_WHERE = (
    "Get the 480x360 / 11-class form of CamVid (SegNet tutorial) and lay it out as "
    "train/images, train/labels, val/images, val/labels with PNG labels holding class ids; 255, or "
    "as there the id after the last class, is void."
)


LabelledImage: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class LabelledImages(Sequence[LabelledImage]):
    """Images with their label images, read from disk on access.

    An item is (image (H, W, 3) uint8 RGB, labels (H, W) uint8 with 255 = void).

    Attributes:
        image_files: of the images.
        label_files: of their labels, in the same order.
        num_classes: ids below it are classes; it itself is void too, as in the SegNet tutorial.
    """

    image_files: tuple[Path, ...]
    label_files: tuple[Path, ...]
    num_classes: int

    def __len__(self) -> int:
        """Return the number of labelled images."""
        return len(self.image_files)

    @overload
    def __getitem__(self, index: int) -> LabelledImage: ...

    @overload
    def __getitem__(self, index: slice) -> LabelledImages: ...

    def __getitem__(self, index: int | slice) -> LabelledImage | LabelledImages:
        """Read image and labels at `index`; a slice reads nothing yet.

        Raises:
            ValueError: if a file is no image of its kind, or labels hold ids of no class.
        """
        if isinstance(index, slice):
            files = self.image_files[index], self.label_files[index]
            return LabelledImages(*files, self.num_classes)
        return read_image(self.image_files[index]), self._labels(self.label_files[index])

    def digest(self) -> str:
        """Return a text that differs where any file, its name or the number of classes does."""
        found = hashlib.sha256(str(self.num_classes).encode())
        for path in (*self.image_files, *self.label_files):
            found.update(path.name.encode() + path.read_bytes())
        return found.hexdigest()[:16]

    def _labels(self, path: Path) -> NDArray[np.uint8]:
        labels = read_labels(path)
        labels[labels == self.num_classes] = IGNORE_INDEX
        foreign = (labels >= self.num_classes) & (labels != IGNORE_INDEX)
        if foreign.any():
            raise ValueError(
                f"{path}: expected class ids 0 to {self.num_classes - 1}, or {self.num_classes} or "
                f"{IGNORE_INDEX} for void, got {np.unique(labels[foreign]).tolist()}"
            )
        return labels


def find_camvid(folder: str | Path | None = None) -> Path:
    """Return the CamVid folder: the argument, else the variable GSVNET_DATA.

    The folder itself or its parent (with camvid/ inside) is accepted.

    Raises:
        ValueError: if neither is given or no train/images is found there.
    """
    given = folder or os.environ.get(DATA_VARIABLE)
    if not given:
        raise ValueError(f"expected a CamVid folder by argument or {DATA_VARIABLE}. {_WHERE}")
    for candidate in (Path(given), Path(given) / "camvid"):
        if (candidate / "train" / "images").is_dir():
            return candidate
    raise ValueError(f"expected train/images in {given} or {given}/camvid. {_WHERE}")


def open_split(folder: Path, split: str, num_classes: int) -> LabelledImages:
    """Return one split of a CamVid folder in the order of the file names.

    Numbers in names count as numbers: what is judged frame by frame has to be in order.

    Args:
        folder: what `find_camvid` returned.
        split: "train" or "val".
        num_classes: how many classes the labels know.

    Raises:
        ValueError: if the split is empty or an image has no labels.
    """
    images = sorted(
        (
            path
            for path in (folder / split / "images").glob("*")
            if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        ),
        key=natural_order,
    )
    if not images:
        raise ValueError(f"expected images in {folder / split / 'images'}, found none. {_WHERE}")
    labels = [folder / split / "labels" / f"{path.stem}.png" for path in images]
    missing = [path.name for path in labels if not path.exists()]
    if missing:
        raise ValueError(f"expected a label PNG per image, {len(missing)} miss: {missing[:3]}")
    return LabelledImages(tuple(images), tuple(labels), num_classes)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if the file is not a readable image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"expected a readable image, got {path}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Return a label PNG as (H, W) uint8 class ids.

    Raises:
        ValueError: if the file is not a single-channel 8-bit image.
    """
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"expected a single-channel 8-bit PNG of class ids, got {path}")
    return labels.astype(np.uint8, copy=False)
