# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Where images come from: a folder, a video file, a camera."""

from __future__ import annotations

from pathlib import Path

from gsvnet_offline.names import printable_name
from gsvnet_offline.sources.camera_device import CameraDevice
from gsvnet_offline.sources.image_file import SUFFIXES
from gsvnet_offline.sources.image_folder import ImageFolder
from gsvnet_offline.sources.source import (
    MAX_RATE_HZ,
    Frame,
    ImageSource,
    SourceItem,
    UnreadableFrame,
    readable_frames,
)
from gsvnet_offline.sources.video_file import VideoFile

__all__ = [
    "CameraDevice",
    "Frame",
    "ImageFolder",
    "ImageSource",
    "SourceItem",
    "UnreadableFrame",
    "VideoFile",
    "checked_playback",
    "open_source",
    "readable_frames",
]


def open_source(
    name: str,
    height: int | None = None,
    width: int | None = None,
    rate_hz: float | None = None,
    num_images: int | None = None,
) -> ImageSource:
    """Open a source of images.

    Args:
        name: a folder of images, an image file, a video file, or the number of a camera.
        height: of the images, pixels; None keeps the source's own size.
        width: of the images, pixels; given with the height or not at all.
        rate_hz: images per second; None keeps the source's own rate.
        num_images: how many images are wanted at most; None for all there are. A camera has no
            end of its own.

    Raises:
        ValueError: if there is no such source, it cannot be read, or a number makes no sense.
        OSError: if the file cannot be opened.
    """
    size = checked_playback(height, width, rate_hz, num_images)
    path = Path(name).expanduser()
    # A folder named 00 is one, wherever there is such a folder.
    if name.isdecimal() and not path.exists():
        return CameraDevice(int(name), size, rate_hz, num_images)
    if not path.exists():
        raise ValueError(
            "expected a folder of images, a video file or the number of a camera, "
            f"got '{printable_name(name)}', which does not exist"
        )
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return ImageFolder(path, size, rate_hz, num_images)
    return VideoFile(path, size, rate_hz, num_images)


def checked_playback(
    height: int | None, width: int | None, rate_hz: float | None, num_images: int | None
) -> tuple[int, int] | None:
    """Return the (height, width) asked for, or None for the source's own size.

    Args:
        height: of the images, pixels, or None.
        width: of the images, pixels; given with the height or not at all.
        rate_hz: images per second, or None.
        num_images: how many images are wanted, or None.

    Raises:
        ValueError: if a number makes no sense.
    """
    if (height is None) != (width is None):
        raise ValueError(f"expected height and width or neither, got {height} and {width}")
    size = None if height is None or width is None else (height, width)
    if size is not None and min(size) < 1:
        raise ValueError(f"expected a size of 1x1 pixels or more, got {size[1]}x{size[0]}")
    if rate_hz is not None and not 0 < rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"expected a rate above 0 and up to {MAX_RATE_HZ:g} Hz, got {rate_hz}")
    if num_images is not None and num_images < 1:
        raise ValueError(f"expected at least one image, got {num_images}")
    return size
