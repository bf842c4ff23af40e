# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The built-in clip: a street drive, rendered once and kept, with exact labels."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gsvnet_model.images.resize import Size
from gsvnet_offline.sources.source import DEFAULT_RATE_HZ
from street_drive import RENDERER_VERSION, StreetDrive

DEFAULT_SIZE: Size = (360, 480)
"""CamVid's, on which the shipped weights were trained."""

SEED = 9
"""A drive in which every class is well represented. Training takes those from seed 1000 on, so
the weights have never seen it."""

DEFAULT_NUM_IMAGES = 150

_MAX_CLIP_BYTES = 600_000_000
_MAX_CACHE_BYTES = 1_500_000_000

_FILES = ("images.npy", "labels.npy")
_UNFINISHED = "unfinished_"
_CLIP_NAME = re.compile(r"\d+_\w+_\d+x\d+_\d+")


class StreetClip:
    """A street drive that was rendered before it is played, so that playing costs nothing.

    Rendered at 15 images per second of street time; another rate plays it faster or slower. A
    clip of more images than fit the cache is played forwards and backwards in turns.

    Args:
        size: (height, width); None takes 480x360.
        rate_hz: images per second at which it is played.
        num_images: number of images; None takes 150.

    Raises:
        ValueError: if the images are too small for the renderer.
    """

    is_live = False
    is_recording = False

    def __init__(
        self,
        size: Size | None = None,
        rate_hz: float | None = None,
        num_images: int | None = None,
    ) -> None:
        height, width = size or DEFAULT_SIZE
        self.rate_hz = rate_hz or DEFAULT_RATE_HZ
        self._num_images = num_images or DEFAULT_NUM_IMAGES
        fitting = max(2, _MAX_CLIP_BYTES // (4 * height * width))
        self._num_rendered = min(self._num_images, fitting)
        folder = _rendered(height, width, self._num_rendered)
        self._images = np.load(folder / _FILES[0], mmap_mode="r")
        self._labels = np.load(folder / _FILES[1], mmap_mode="r")

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Return the images from the start, each (H, W, 3) uint8 RGB."""
        for index in range(self._num_images):
            yield np.array(self._images[self._position(index)])

    def labels(self, index: int) -> NDArray[np.uint8]:
        """Return the exact (H, W) uint8 class ids of image `index`."""
        return np.array(self._labels[self._position(index)])

    def _position(self, index: int) -> int:
        """Return which rendered image is played at `index`."""
        last = self._num_rendered - 1
        return last - abs(last - index % (2 * last)) if last else 0


def _rendered(height: int, width: int, count: int) -> Path:
    """Return a folder with `count` images or more, rendered if there is none."""
    key = f"{SEED}_{RENDERER_VERSION}_{width}x{height}"
    cache = _cache_folder()
    for folder in cache.glob(f"{key}_*"):
        is_whole = _is_clip(folder) and all((folder / name).is_file() for name in _FILES)
        if is_whole and int(folder.name.rpartition("_")[2]) >= count:
            os.utime(folder)
            return folder
    folder = cache / f"{key}_{count}"
    print(f"rendering the built-in clip, {count} images of {width}x{height} (once)", flush=True)
    drive = StreetDrive(SEED, height, width, DEFAULT_RATE_HZ)
    # Renamed when complete: a stopped start must not leave half a clip behind.
    unfinished = Path(tempfile.mkdtemp(dir=cache, prefix=_UNFINISHED))
    try:
        images = _new_array(unfinished / _FILES[0], (count, height, width, 3))
        labels = _new_array(unfinished / _FILES[1], (count, height, width))
        for index in tqdm(range(count), leave=False, disable=None):
            frame = drive.frame(index)
            images[index], labels[index] = frame.image, frame.labels
        del images, labels  # written and closed
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            # A second start was faster, or something else lies there.
            for name in _FILES:
                (unfinished / name).replace(folder / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _remove_oldest(cache, folder)
    return folder


def _new_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=shape
    )
    return array


def _cache_folder() -> Path:
    """Return where clips are kept: the user's cache, or in a container without one /tmp.

    Raises:
        ValueError: if others could have put something in the folder below /tmp.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "gsvnet_ros" / "street_clip"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except (OSError, RuntimeError):  # not writable; no home
        private = Path(tempfile.gettempdir()) / f"gsvnet_ros_{os.getuid()}"
    with suppress(FileExistsError):
        private.mkdir(mode=0o700)
    status = private.lstat()
    is_private = status.st_uid == os.getuid() and not status.st_mode & 0o022
    if not stat.S_ISDIR(status.st_mode) or not is_private:
        raise ValueError(
            f"expected {private} to be a folder that only this user may write to, got another; "
            "remove it, or set XDG_CACHE_HOME to a folder for the rendered clip"
        )
    folder = private / "street_clip"
    folder.mkdir(exist_ok=True)
    return folder


def _remove_oldest(cache: Path, kept: Path) -> None:
    """Remove the clips used longest ago until the cache is small enough."""
    clips = [path for path in cache.iterdir() if _is_clip(path)]
    clips.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for clip in (kept, *(clip for clip in clips if clip != kept)):
        files = [clip / name for name in _FILES]
        total += sum(path.stat().st_size for path in files if path.exists())
        if total > _MAX_CACHE_BYTES and clip != kept:
            # These two alone: whatever else lies there was not put there by this program.
            for path in files:
                path.unlink(missing_ok=True)
            with suppress(OSError):
                clip.rmdir()


def _is_clip(path: Path) -> bool:
    is_named = _CLIP_NAME.fullmatch(path.name) or path.name.startswith(_UNFINISHED)
    return bool(is_named) and path.is_dir() and not path.is_symlink()
