# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""CamVid, 480x360, 11 classes: a folder with train/ and val/, each with images/ and labels/."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.data.label_check import check_label_ids
from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_offline.sources.file_order import natural_order
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.label_png import read_labels

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
            ValueError: if a file is no image of its kind, the two differ in size, or labels hold
                ids of no class.
        """
        if isinstance(index, slice):
            files = self.image_files[index], self.label_files[index]
            return LabelledImages(*files, self.num_classes)
        image, labels = read_image(self.image_files[index]), self._labels(self.label_files[index])
        check_same_size(self.image_files[index], image, self.label_files[index], labels)
        return image, labels

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
        ValueError: if the split is empty, an image has no labels, or the labels certainly count
            classes from 1 on.
    """
    images = sorted(
        (
            path
            for path in (folder / split / "images").glob("*")
            if path.suffix.lower() in (".jpg", ".jpeg", ".png")
            and not path.name.startswith(".")  # macOS puts ._0001.jpg beside 0001.jpg
            and not path.is_dir()
        ),
        key=natural_order,
    )
    if not images:
        raise ValueError(f"expected images in {folder / split / 'images'}, found none. {_WHERE}")
    labels = [folder / split / "labels" / f"{path.stem}.png" for path in images]
    missing = [path.name for path in labels if not path.is_file()]
    if missing:
        raise ValueError(f"expected a label PNG per image, {len(missing)} miss: {missing[:3]}")
    check_label_ids(labels, num_classes)
    return LabelledImages(tuple(images), tuple(labels), num_classes)


def check_same_size(
    image_file: Path, image: NDArray[np.uint8], label_file: Path, labels: NDArray[np.uint8]
) -> None:
    """Refuse labels of another size than their image.

    Args:
        image_file: where the image is from, for the message.
        image: (H, W, 3), upright as its metadata says.
        label_file: where the labels are from, for the message.
        labels: (H, W).

    Raises:
        ValueError: if the sizes differ.
    """
    if labels.shape == image.shape[:2]:
        return
    cure = "scale the labels without mixing ids"
    if labels.shape == image.shape[1::-1]:
        cure = "the image is turned by its EXIF orientation: turn the labels as well"
    raise ValueError(
        f"expected labels of their image's size, got {labels.shape[1]}x{labels.shape[0]} in "
        f"{label_file} and {image.shape[1]}x{image.shape[0]} in {image_file} (width x height); "
        f"{cure}"
    )
