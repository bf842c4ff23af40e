# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Where images come from: the built-in street drive, a folder, a video file, a camera."""

from __future__ import annotations

from pathlib import Path

from gsvnet_model.sources.image_folder import ImageFolder
from gsvnet_model.sources.source import ImageSource
from gsvnet_model.sources.street_clip import StreetClip
from gsvnet_model.sources.video import CameraDevice, VideoFile

__all__ = [
    "BUILT_IN",
    "CameraDevice",
    "ImageFolder",
    "ImageSource",
    "StreetClip",
    "VideoFile",
    "open_source",
]

BUILT_IN = "street"
"""The name of the built-in clip."""


def open_source(
    name: str,
    height: int | None = None,
    width: int | None = None,
    rate_hz: float | None = None,
    num_images: int | None = None,
) -> ImageSource:
    """Open a source of images.

    Args:
        name: "street" for the built-in clip, a folder of images, a video file, or the number
            of a camera.
        height: of the images, pixels; None keeps the source's own size.
        width: of the images, pixels; given with the height or not at all.
        rate_hz: images per second; None keeps the source's own rate.
        num_images: how many images are wanted at most; None for all there are. The built-in
            clip and a camera have no end of their own.

    Raises:
        ValueError: if there is no such source, it cannot be read, or a number makes no sense.
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
    if name == BUILT_IN:
        return StreetClip(size, rate_hz, num_images)
    path = Path(name).expanduser()
    # A folder named 00 is one, wherever there is such a folder.
    if name.isdecimal() and not path.exists():
        return CameraDevice(int(name), size, rate_hz, num_images)
    if path.is_dir():
        return ImageFolder(path, size, rate_hz, num_images)
    if path.is_file():
        return VideoFile(path, size, rate_hz, num_images)
    raise ValueError(
        f"expected '{BUILT_IN}', a folder of images, a video file or the number of a camera, "
        f"got '{name}', which does not exist"
    )
