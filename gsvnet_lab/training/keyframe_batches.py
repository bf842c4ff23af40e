# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Batches of random views of labelled stills and rendered street drives."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.data.augment import paste_classes, random_view
from gsvnet_lab.data.camvid import LabelledImages
from gsvnet_lab.data.drive_pool import load_drive_pool
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe


class Stills:
    """The training split in memory: (H, W, 3) images and (H, W) labels, uint8."""

    def __init__(self, split: LabelledImages) -> None:
        pairs = [split[index] for index in range(len(split))]
        self.images = [image for image, _ in pairs]
        self.labels = [labels for _, labels in pairs]
        self.size = (self.labels[0].shape[0], self.labels[0].shape[1])

    def __len__(self) -> int:
        return len(self.images)


class Drives:
    """Rendered street drives of the stills' size, rendered when first asked for."""

    def __init__(self, folder: Path, count: int, size: tuple[int, int]) -> None:
        self._make = functools.partial(load_drive_pool, folder, count, *size, first_seed=1000)

    @functools.cached_property
    def pool(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(N, H, W, 3) images and (N, H, W) labels, uint8."""
        return self._make()


def batches(
    recipe: KeyframeRecipe,
    stills: Stills,
    drives: Drives,
    start: int,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield the batches from iteration `start` on, prepared ahead in a thread.

    Args:
        recipe: gives seed, phases and augmentation.
        stills: labelled stills to draw from.
        drives: rendered street drives to draw from.
        start: number of the first batch.

    Yields:
        (N, H, W, 3) images and (N, H, W) labels, uint8.
    """
    ready: queue.Queue[tuple[NDArray[np.uint8], NDArray[np.uint8]] | BaseException]
    ready = queue.Queue(maxsize=2)

    def produce() -> None:
        try:
            for iteration in range(start, recipe.iterations):
                ready.put(_batch(recipe, stills, drives, iteration))
        except BaseException as error:  # handed to the consumer, which raises it
            ready.put(error)

    threading.Thread(target=produce, daemon=True).start()
    for _ in range(start, recipe.iterations):
        item = ready.get()
        if isinstance(item, BaseException):
            raise item
        yield item


def _batch(
    recipe: KeyframeRecipe,
    stills: Stills,
    drives: Drives,
    iteration: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return batch number `iteration`, which depends on the seed alone, so that runs resume."""
    rng = np.random.default_rng([recipe.seed, iteration])
    phase = recipe.phase_at(iteration)
    view = functools.partial(
        random_view, size=phase.crop, augmentation=recipe.augmentation, rng=rng
    )

    def still() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        index = int(rng.integers(len(stills)))
        return view(stills.images[index], stills.labels[index])

    def drive() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        images, labels = drives.pool
        index = int(rng.integers(len(images)))
        return view(images[index], labels[index])

    views = [drive() for _ in range(phase.drive_images)]
    while len(views) < recipe.batch_size:
        image, labels = still()
        if rng.random() < recipe.augmentation.paste:
            paste_classes(image, labels, *still(), rng)
        views.append((image, labels))
    return np.stack([image for image, _ in views]), np.stack([labels for _, labels in views])
