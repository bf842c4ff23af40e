# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images by name: those of `gsvnet_offline.sources` and the built-in street drive."""

from __future__ import annotations

from gsvnet_lab.data.street_clip import StreetClip
from gsvnet_offline.sources import ImageSource, checked_playback, open_source

BUILT_IN = "street"
"""The name of the built-in clip."""


def open_images(
    name: str,
    height: int | None = None,
    width: int | None = None,
    rate_hz: float | None = None,
    num_images: int | None = None,
) -> ImageSource:
    """Open the built-in clip or any other source of images.

    Args:
        name: "street" for the built-in clip, else as `open_source`.
        height: of the images, pixels; None keeps the source's own size.
        width: of the images, pixels; given with the height or not at all.
        rate_hz: images per second; None keeps the source's own rate.
        num_images: how many images are wanted at most; None for all there are. The built-in
            clip and a camera have no end of their own.

    Raises:
        ValueError: if there is no such source, it cannot be read, or a number makes no sense.
    """
    if name == BUILT_IN:
        size = checked_playback(height, width, rate_hz, num_images)
        return StreetClip(size, rate_hz, num_images)
    return open_source(name, height, width, rate_hz, num_images)
