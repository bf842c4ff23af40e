# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Class tables: the name and the colour of every class id in a label image."""

from __future__ import annotations

import colorsys
import reprlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IGNORE_INDEX = 255
"""Class id of pixels without a class: void in the training data, unlabeled in the output."""

MAX_CLASSES = 254
"""Class ids are uint8, and 255 is no class."""

MAX_NAME_LENGTH = 128
"""Longest name of a class, characters: it is shown in lists and legends."""


@dataclass(frozen=True)
class ClassTable:
    """Names and colours of the classes; the index in both is the class id.

    Args:
        names: one name per class, 1 to `MAX_CLASSES` of them, each of at most `MAX_NAME_LENGTH`
            characters.
        palette: one colour per class, RGB, each value 0..255.

    Raises:
        ValueError: if there are no classes or too many, if names and colours differ in number, if
            a colour is none, or if a name is repeated or cannot be shown in a line.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        """Check that the table is consistent."""
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise ValueError(f"expected 1 to {MAX_CLASSES} classes, got {len(self.names)}")
        if len(self.names) != len(self.palette):
            raise ValueError(
                f"expected one colour per class, got {len(self.names)} names and "
                f"{len(self.palette)} colours"
            )
        for name in self.names:
            if not _is_class_name(name):
                raise ValueError(
                    f"expected printable class names of 1 to {MAX_NAME_LENGTH} characters without "
                    f"spaces around them, got {reprlib.repr(name)}"
                )
        repeated = {name for name in self.names if self.names.count(name) > 1}
        if repeated:
            raise ValueError(f"expected every class name once, got {min(repeated)!r} again")
        for colour in self.palette:
            if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
                raise ValueError(f"expected RGB triples in 0..255, got {colour}")

    @classmethod
    def numbered(cls, num_classes: int) -> ClassTable:
        """Return a table for classes without names: "class 0", "class 1", ..., all colours differ.

        Args:
            num_classes: number of classes, 1 to `MAX_CLASSES`.
        """
        hues = [colorsys.hsv_to_rgb(index * 0.618 % 1, 0.6, 0.9) for index in range(num_classes)]
        palette = tuple((int(255 * r), int(255 * g), int(255 * b)) for r, g, b in hues)
        return cls(tuple(f"class {index}" for index in range(num_classes)), palette)

    @property
    def num_classes(self) -> int:
        """The number of classes K."""
        return len(self.names)

    def palette_array(self) -> NDArray[np.uint8]:
        """Return the colour of every id as (256, 3) uint8 RGB; ids that are no class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: self.num_classes] = self.palette
        return table


def _is_class_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.isprintable()
        and name == name.strip()
        and 1 <= len(name) <= MAX_NAME_LENGTH
    )


CAMVID = ClassTable(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (0, 0, 192),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
"""The 11 classes of CamVid in the 480x360 form."""

CITYSCAPES = ClassTable(
    names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
"""The 19 evaluated classes of Cityscapes (train ids)."""
