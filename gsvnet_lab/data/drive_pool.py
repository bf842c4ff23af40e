# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frames of many street drives, rendered once and kept on disk for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gsvnet_model.checkpoint.atomic_file import atomic_write
from street_drive import RENDERER_VERSION, StreetDrive

_FRAMES_PER_DRIVE = 12
_SPACING = 17
"""Frames between two samples of a drive: about half a second, so that they differ."""


def load_drive_pool(
    folder: Path, count: int, height: int, width: int, first_seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return rendered street images with exact labels.

    Args:
        folder: where the frames are kept between runs; a changed renderer renders them anew.
        count: number of images.
        height: of the images, pixels.
        width: of the images, pixels.
        first_seed: seed of the first drive; every drive gives 12 images.

    Returns:
        (count, H, W, 3) uint8 RGB images and (count, H, W) uint8 labels.
    """
    name = f"drive_pool_{count}_{height}x{width}_{first_seed}_{RENDERER_VERSION}.npz"
    cache = folder / name
    if cache.exists():
        with np.load(cache) as stored:
            return stored["images"], stored["labels"]
    images = np.empty((count, height, width, 3), np.uint8)
    labels = np.empty((count, height, width), np.uint8)
    for start in tqdm(range(0, count, _FRAMES_PER_DRIVE), desc="rendering street drives"):
        drive = StreetDrive(first_seed + start // _FRAMES_PER_DRIVE, height, width)
        for index in range(start, min(start + _FRAMES_PER_DRIVE, count)):
            frame = drive.frame((index - start) * _SPACING)
            images[index], labels[index] = frame.image, frame.labels
    with atomic_write(cache) as partial:
        np.savez(partial, images=images, labels=labels)
    return images, labels
