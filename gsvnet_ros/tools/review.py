# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A recorded run looked at again: the overlay video, the picture sheet and the accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.reporting.picture_sheet import SheetRow
from gsvnet_model.images.resize import resize_image
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.outputs.overlay import draw_legend, overlay
from gsvnet_offline.sources import ImageSource
from gsvnet_ros.tools.recording import Recording


@dataclass(frozen=True)
class ReviewedFrame:
    """Everything about one published frame.

    Attributes:
        index: number of the frame.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 class ids, None if none came back.
        confidence: (H, W) uint8, None if none came back.
        truth: (H, W) uint8 exact labels, None where there are none.
        keyframe_age: frames since the keyframe, None if unknown.
    """

    index: int
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    confidence: NDArray[np.uint8] | None
    truth: NDArray[np.uint8] | None
    keyframe_age: int | None

    @property
    def note(self) -> str:
        """Where the labels come from, in words."""
        if self.mask is None:
            return f"frame {self.index}: no labels"
        if self.keyframe_age is None:
            return f"frame {self.index}"
        age = f" + {self.keyframe_age}" if self.keyframe_age else ""
        return f"frame {self.index}: keyframe{age}"


def review(
    published_ns: Sequence[int], source: ImageSource | None, recording: Recording
) -> Iterator[ReviewedFrame]:
    """Return the published frames in order.

    Args:
        published_ns: their stamps.
        source: to read the images again; None takes them from the recording, which leaves
            out those that did not reach the recorder.
        recording: what came back.
    """
    images: Iterator[NDArray[np.uint8] | None]
    if source is None:
        images = (recording.image(stamp_ns) for stamp_ns in published_ns)
    else:
        images = iter(source.images())
    for index, (stamp_ns, image) in enumerate(zip(published_ns, images, strict=False)):
        if image is None:
            continue
        frame = recording.frames.get(stamp_ns)
        yield ReviewedFrame(
            index,
            image,
            recording.mask(stamp_ns),
            recording.confidence(stamp_ns),
            None if source is None else source.labels(index),
            None if frame is None else frame.keyframe_age,
        )


class OverlayVideo:
    """A video file of the images with their labels; use it in a `with` statement.

    Args:
        path: of the .mp4 file.
        rate_hz: images per second.
        classes: names and colours of the class ids.
    """

    def __init__(self, path: Path, rate_hz: float, classes: ClassTable) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._classes = classes
        self._size: tuple[int, int] | None = None
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> OverlayVideo:
        """Return the video."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()

    def write(self, frame: ReviewedFrame) -> None:
        """Append a frame, at the size of the first.

        Raises:
            OSError: if this OpenCV cannot write the file.
        """
        picture = np.array(frame.image)
        if frame.mask is not None:
            image = resize_image(frame.image, (frame.mask.shape[0], frame.mask.shape[1]))
            picture = overlay(image, frame.mask, self._classes.palette_array())
        draw_legend(picture, self._classes, frame.note)
        if self._writer is None:
            self._size = (picture.shape[0], picture.shape[1])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), code, self._rate_hz, self._size[::-1])
            if not self._writer.isOpened():
                raise OSError(f"this OpenCV cannot write {self._path}")
        bgr = cv2.cvtColor(resize_image(picture, self._size), cv2.COLOR_RGB2BGR)
        self._writer.write(bgr)


def sheet_row(frame: ReviewedFrame) -> SheetRow | None:
    """Return the frame as a row of the picture sheet, or None where a part is missing."""
    if frame.mask is None or frame.confidence is None:
        return None
    return SheetRow(
        f"frame {frame.index}",
        frame.keyframe_age,
        frame.image,
        frame.mask,
        frame.confidence,
        frame.truth,
    )


def sheet_indices(
    published_ns: Sequence[int], recording: Recording, num_rows: int = 6
) -> frozenset[int]:
    """Choose the frames of the picture sheet.

    They are spread over the run, keyframes and frames far from theirs in turns.

    Args:
        published_ns: stamps of the published frames.
        recording: what came back.
        num_rows: how many to choose at most.
    """
    came_back = set(recording.labelled_stamps())
    ages = {
        index: recording.frames[stamp_ns].keyframe_age
        for index, stamp_ns in enumerate(published_ns)
        if stamp_ns in came_back
    }
    labelled = list(ages)
    chosen: set[int] = set()
    for row, stretch in enumerate(np.array_split(labelled, min(num_rows, len(labelled)) or 1)):
        indices = [int(index) for index in stretch]
        if not indices:
            continue
        wants_keyframe = row % 2 == 0
        by_age = sorted(indices, key=lambda index: ages[index] or 0)
        chosen.add(by_age[0] if wants_keyframe else by_age[-1])
    return frozenset(chosen)
