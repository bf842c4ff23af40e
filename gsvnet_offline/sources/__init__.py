# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Where images come from: a folder, a video file, a camera."""

from __future__ import annotations

from pathlib import Path

from gsvnet_offline.sources.image_folder import ImageFolder
from gsvnet_offline.sources.source import ImageSource
from gsvnet_offline.sources.video import CameraDevice, VideoFile

__all__ = [
    "CameraDevice",
    "ImageFolder",
    "ImageSource",
    "VideoFile",
    "checked_playback",
    "open_source",
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
        name: a folder of images, a video file, or the number of a camera.
        height: of the images, pixels; None keeps the source's own size.
        width: of the images, pixels; given with the height or not at all.
        rate_hz: images per second; None keeps the source's own rate.
        num_images: how many images are wanted at most; None for all there are. A camera has no
            end of its own.

    Raises:
        ValueError: if there is no such source, it cannot be read, or a number makes no sense.
    """
    size = checked_playback(height, width, rate_hz, num_images)
    path = Path(name).expanduser()
    # A folder named 00 is one, wherever there is such a folder.
    if name.isdecimal() and not path.exists():
        return CameraDevice(int(name), size, rate_hz, num_images)
    if path.is_dir():
        return ImageFolder(path, size, rate_hz, num_images)
    if path.is_file():
        return VideoFile(path, size, rate_hz, num_images)
    raise ValueError(
        "expected a folder of images, a video file or the number of a camera, "
        f"got '{name}', which does not exist"
    )


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
    if rate_hz is not None and not 0 < rate_hz <= 1000:
        raise ValueError(f"expected a rate above 0 and up to 1000 Hz, got {rate_hz}")
    if num_images is not None and num_images < 1:
        raise ValueError(f"expected at least one image, got {num_images}")
    return size
