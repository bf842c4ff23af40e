# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Cityscapes, 2048x1024, 19 classes: leftImg8bit_sequence/ and gtFine/, split and city below.

Snippets have 30 frames at 17 Hz, of which the 20th is labelled. File names end with the number of
the frame: aachen_000000_000019_leftImg8bit.png, aachen_000000_000019_gtFine_labelIds.png.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.data.camvid import LabelledImage, check_same_size
from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.label_png import read_labels

_IMAGES, _LABELS = "leftImg8bit_sequence", "gtFine"
_IDS, _TRAIN_IDS = "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"

_WHERE = f"Get {_IMAGES} and {_LABELS} from cityscapes-dataset.com and unpack both into one folder."

IDS_OF_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""What the label files call the 19 evaluated classes, in the order of `CITYSCAPES`."""


@dataclass(frozen=True)
class Snippet:
    """Consecutive frames of which the last one is labelled; read on demand.

    Attributes:
        image_files: of the frames in order.
        label_file: of the last one; ids as published, or train ids.
    """

    image_files: tuple[Path, ...]
    label_file: Path

    def read(self) -> list[LabelledImage]:
        """Return image (H, W, 3) uint8 RGB and train ids (H, W) uint8 of each frame.

        Only the last frame has a truth, in the others every pixel is 255.

        Raises:
            ValueError: if a file is no image of its kind, or sizes differ.
        """
        images = [read_image(path) for path in self.image_files]
        for path, image in zip(self.image_files, images, strict=True):
            if image.shape != images[-1].shape:
                raise ValueError(
                    f"expected frames of one size, got {image.shape[1]}x{image.shape[0]} in "
                    f"{path} and {images[-1].shape[1]}x{images[-1].shape[0]} in "
                    f"{self.image_files[-1]} (width x height)"
                )
        labels = read_train_ids(self.label_file)
        check_same_size(self.image_files[-1], images[-1], self.label_file, labels)
        unknown = [np.full(labels.shape, IGNORE_INDEX, np.uint8) for _ in images[:-1]]
        return list(zip(images, [*unknown, labels], strict=True))


def open_cityscapes(folder: Path, split: str, num_frames: int) -> list[Snippet]:
    """Return the labelled frames of a split, each with the frames just before it.

    Args:
        folder: holds leftImg8bit_sequence/ and gtFine/.
        split: "train" or "val".
        num_frames: frames of a snippet to read, the labelled one included; at most 20.

    Raises:
        ValueError: if no labels are there or frames miss.
    """
    if not 1 <= num_frames <= 20:
        raise ValueError(f"expected 1 to 20 frames up to the labelled one, got {num_frames}")
    stems = {
        path.parent / path.name.removesuffix(suffix)
        for suffix in (_IDS, _TRAIN_IDS)
        for path in (folder / _LABELS / split).glob(f"*/*{suffix}")
    }
    if not stems:
        raise ValueError(
            f"expected labels such as CITY/*{_IDS} in {folder / _LABELS / split}, found none. "
            f"{_WHERE}"
        )
    snippets = [_snippet(folder / _IMAGES / split, stem, num_frames) for stem in sorted(stems)]
    missing = [path for entry in snippets for path in entry.image_files if not path.is_file()]
    if missing:
        raise ValueError(
            f"expected the {num_frames - 1} frames before each labelled one, {len(missing)} files "
            f"miss, such as {missing[0]}. {_WHERE}"
        )
    return snippets


def read_train_ids(path: Path) -> NDArray[np.uint8]:
    """Return a label file as (H, W) uint8 train ids, 255 where nothing is evaluated.

    Args:
        path: *_labelTrainIds.png, or *_labelIds.png, which is converted.

    Raises:
        ValueError: if the file is not a single-channel 8-bit image, or holds other train ids.
    """
    labels = read_labels(path)
    if path.name.endswith(_TRAIN_IDS):
        foreign = np.setdiff1d(labels, [*range(len(IDS_OF_TRAIN_IDS)), IGNORE_INDEX])
        if len(foreign):
            raise ValueError(
                f"{path}: expected train ids 0 to {len(IDS_OF_TRAIN_IDS) - 1} or {IGNORE_INDEX} "
                f"for void, got {foreign.tolist()}"
            )
        return labels
    train_ids = np.full(256, IGNORE_INDEX, np.uint8)
    train_ids[list(IDS_OF_TRAIN_IDS)] = np.arange(len(IDS_OF_TRAIN_IDS))
    return train_ids[labels]


def _snippet(images: Path, stem: Path, num_frames: int) -> Snippet:
    """Return the snippet of a label file, `stem` being its path up to the frame's number."""
    sequence, _, number = stem.name.rpartition("_")
    if not number.isdecimal():
        raise ValueError(f"expected a label file that ends with a frame's number, got {stem}")
    last = int(number)
    train_ids = stem.parent / f"{stem.name}{_TRAIN_IDS}"
    return Snippet(
        tuple(
            images / stem.parent.name / f"{sequence}_{frame:06d}_leftImg8bit.png"
            for frame in range(last - num_frames + 1, last + 1)
        ),
        train_ids if train_ids.is_file() else stem.parent / f"{stem.name}{_IDS}",
    )
