# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The interface of all image sources, and the frames that they give."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_RATE_HZ = 15.0
"""Rate of sources without one of their own; CamVid's clip has it, and two cores keep up."""

MAX_RATE_HZ = 1000.0

MAX_PIXELS = 1 << 26
"""Images and video frames of more pixels are refused before they are decoded: 8192x8192 is the
largest square."""


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        number: place in the source, from 0; frames that cannot be read keep their numbers.
        stamp_s: time stamp in the source, seconds; None where the source stores none.
        name: name of the file that the image comes from; empty for a camera.
        image: (H, W, 3) uint8 RGB.
    """

    number: int
    stamp_s: float | None
    name: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class UnreadableFrame:
    """A frame, or several in a row, of which a source has no image to give.

    Attributes:
        number: place of the first one in the source, from 0.
        stamp_s: time stamp of the first one, seconds; None where it is unknown.
        name: name of the file that should hold it.
        reason: why there is no image, for a reader of the log.
        count: number of frames in a row.
    """

    number: int
    stamp_s: float | None
    name: str
    reason: str
    count: int = 1


SourceItem = Frame | UnreadableFrame


class ImageSource(Protocol):
    """Images in order, with labels where these are known.

    Attributes:
        rate_hz: images per second.
        is_live: whether the images are gone once read, so that `frames` cannot be repeated.
        is_recording: whether every image matters more than its time: it has no clock.
        num_frames: number of frames as far as the source announces it, else None.
    """

    rate_hz: float
    is_live: bool
    is_recording: bool
    num_frames: int | None

    def frames(self) -> Iterator[SourceItem]:
        """Return the frames from the start, by rising number; each number comes once."""
        ...

    def labels(self, number: int) -> NDArray[np.uint8] | None:
        """Return the (H, W) uint8 class ids of the frame with this number, None if unknown."""
        ...


def readable_frames(source: ImageSource) -> Iterator[Frame]:
    """Return the frames that have an image.

    Warns about each of the others, so that none goes missing silently.

    Args:
        source: any source.
    """
    for item in source.frames():
        if isinstance(item, Frame):
            yield item
        else:
            warnings.warn(unreadable_text(item), stacklevel=2)


def unreadable_text(item: UnreadableFrame) -> str:
    """Return what became of frames that cannot be read, in words."""
    last = f" to {item.number + item.count - 1}" if item.count > 1 else ""
    return f"frame{'s' if last else ''} {item.number}{last} of {item.name}: {item.reason}"


def first_frames(items: Iterator[SourceItem], count: int | None) -> Iterator[SourceItem]:
    """Return the frames with a number below `count`, and read no further.

    Args:
        items: frames by rising number.
        count: None returns all.
    """
    left = count
    for item in items:
        length = item.count if isinstance(item, UnreadableFrame) else 1
        if left is not None and isinstance(item, UnreadableFrame):
            item = dataclasses.replace(item, count=min(length, left))
        yield item
        if left is not None:
            left -= length
            if left <= 0:
                return
