# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What came back from the node, frame by frame; the pixels wait in a file, not in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class _Place:
    offset_bytes: int
    shape: tuple[int, ...]


class ArrayFile:
    """Arrays of uint8 appended to one file and read back by number.

    Args:
        path: of the file, which is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._places: list[_Place] = []
        self._end_bytes = 0

    def append(self, array: NDArray[np.uint8]) -> int:
        """Write the array to the end of the file and return its number."""
        self._places.append(_Place(self._end_bytes, array.shape))
        self._file.seek(self._end_bytes)
        self._end_bytes += self._file.write(np.ascontiguousarray(array).data)
        return len(self._places) - 1

    def read(self, number: int) -> NDArray[np.uint8]:
        """Return the array that `append` gave this number."""
        place = self._places[number]
        array = np.empty(place.shape, np.uint8)
        self._file.seek(place.offset_bytes)
        self._file.readinto(array.data)
        return array

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class RecordedFrame:
    """What is known of one frame; filled as its messages arrive.

    Attributes:
        received_ns: time at which the mask arrived, of the recorder's clock.
        status: key/values of `~/status`.
    """

    received_ns: int | None = None
    status: Mapping[str, str] = field(default_factory=dict)
    image_number: int | None = None
    mask_number: int | None = None
    confidence_number: int | None = None

    @property
    def keyframe_age(self) -> int | None:
        """Frames since the keyframe, 0 on a keyframe, None where no status arrived."""
        age = self.status.get("keyframe_age")
        return None if age is None else int(age)


class Recording:
    """Frames by stamp.

    Args:
        folder: for the pixels; must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.frames: dict[int, RecordedFrame] = {}
        self._images = ArrayFile(folder / "images")
        self._masks = ArrayFile(folder / "masks")
        self._confidences = ArrayFile(folder / "confidences")

    def frame(self, stamp_ns: int) -> RecordedFrame:
        """Return the record of a stamp, a new one at first sight."""
        return self.frames.setdefault(stamp_ns, RecordedFrame())

    def add_image(self, stamp_ns: int, image: NDArray[np.uint8]) -> None:
        """Keep the (H, W, 3) uint8 RGB image of a stamp."""
        self.frame(stamp_ns).image_number = self._images.append(image)

    def add_mask(self, stamp_ns: int, mask: NDArray[np.uint8], received_ns: int) -> None:
        """Keep the (H, W) uint8 class ids of a stamp."""
        frame = self.frame(stamp_ns)
        frame.mask_number = self._masks.append(mask)
        frame.received_ns = received_ns

    def add_confidence(self, stamp_ns: int, confidence: NDArray[np.uint8]) -> None:
        """Keep the (H, W) uint8 confidence of a stamp."""
        self.frame(stamp_ns).confidence_number = self._confidences.append(confidence)

    def image(self, stamp_ns: int) -> NDArray[np.uint8] | None:
        """Return the image of a stamp, or None if it did not arrive."""
        frame = self.frames.get(stamp_ns)
        number = None if frame is None else frame.image_number
        return None if number is None else self._images.read(number)

    def mask(self, stamp_ns: int) -> NDArray[np.uint8] | None:
        """Return the class ids of a stamp, or None if they did not arrive."""
        frame = self.frames.get(stamp_ns)
        number = None if frame is None else frame.mask_number
        return None if number is None else self._masks.read(number)

    def confidence(self, stamp_ns: int) -> NDArray[np.uint8] | None:
        """Return the confidence of a stamp, or None if it did not arrive."""
        frame = self.frames.get(stamp_ns)
        number = None if frame is None else frame.confidence_number
        return None if number is None else self._confidences.read(number)

    def labelled_stamps(self) -> list[int]:
        """Return the stamps of all frames with a mask, in order."""
        return sorted(
            stamp_ns for stamp_ns, frame in self.frames.items() if frame.mask_number is not None
        )

    def close(self) -> None:
        """Close the files."""
        for file in (self._images, self._masks, self._confidences):
            file.close()


def save_masks(recording: Recording, names: Mapping[int, str], folder: Path) -> None:
    """Write the masks and confidences as PNGs.

    Args:
        recording: of the frames.
        names: file name without suffix by stamp; stamps without a mask are left out.
        folder: gets `masks/` and `confidences/`.
    """
    for kind, read in (("masks", recording.mask), ("confidences", recording.confidence)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for stamp_ns, name in names.items():
            pixels = read(stamp_ns)
            if pixels is not None:
                cv2.imwrite(str(folder / kind / f"{name}.png"), pixels)
