# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A recorded run looked at again: the overlay video, the picture sheet and the accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.reporting.picture_sheet import SheetRow
from gsvnet_model.images.resize import resize_image
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.outputs.overlay import draw_legend, overlay
from gsvnet_offline.sources import ImageSource, readable_frames
from gsvnet_offline.writers.h264_video import H264Video
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
    # Image and, where there is one, its number in the source.
    images: Iterator[tuple[NDArray[np.uint8] | None, int]]
    if source is None:
        images = ((recording.image(stamp_ns), 0) for stamp_ns in published_ns)
    else:
        images = ((frame.image, frame.number) for frame in readable_frames(source))
    for index, (stamp_ns, (image, number)) in enumerate(zip(published_ns, images, strict=False)):
        if image is None:
            continue
        frame = recording.frames.get(stamp_ns)
        yield ReviewedFrame(
            index,
            image,
            recording.mask(stamp_ns),
            recording.confidence(stamp_ns),
            None if source is None else source.labels(number),
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
        path.unlink(missing_ok=True)
        self._classes = classes
        self._video = H264Video(path, rate_hz)

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
        self._video.__exit__(kind, error, trace)

    def write(self, frame: ReviewedFrame) -> None:
        """Append a frame, at the size of the first.

        Raises:
            OSError: if the file cannot be written.
        """
        picture = np.array(frame.image)
        if frame.mask is not None:
            image = resize_image(frame.image, (frame.mask.shape[0], frame.mask.shape[1]))
            picture = overlay(image, frame.mask, self._classes.palette_array())
        draw_legend(picture, self._classes, frame.note)
        self._video.write(picture)


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
