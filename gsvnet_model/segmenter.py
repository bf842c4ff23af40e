# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One video stream: keyframes are segmented, the frames between them propagated.

See: paper Sec. 3 (framework overview).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.labels import labels_and_confidence
from gsvnet_model.model import SegmentationModel
from gsvnet_model.preprocessing import grid_image, grid_size, image_tensor

DEFAULT_KEYFRAME_INTERVAL = 5
"""Frames from one keyframe to the next: the largest interval of the paper's tables."""


@dataclass(frozen=True)
class Segmentation:
    """What a step says about one frame.

    Attributes:
        labels: (H, W) uint8 class ids.
        confidence: (H, W) uint8, floor(255 * probability of the label).
        is_keyframe: whether the keyframe network ran.
        keyframe_age: frames since the keyframe that the labels come from; 0 on a keyframe.
        reason: why it is a keyframe ("first", "size", "interval" or the caller's), else "".
        stage_ms: milliseconds per stage: "prepare", "network", "labels".
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    is_keyframe: bool
    keyframe_age: int
    reason: str
    stage_ms: Mapping[str, float]


@dataclass(frozen=True)
class _State:
    """What one frame leaves to the next; of constant size.

    Attributes:
        size: (H, W) of the images.
        logits: (1, K, h, w) on the grid, float32.
        image: (1, 3, h, w) normalised grid image, float32.
        age: frames since the keyframe.
    """

    size: tuple[int, int]
    logits: Tensor
    image: Tensor
    age: int


class VideoSegmenter:
    """Labels the frames of one stream in order.

    Args:
        model: the weights; any number of streams can share them.
        keyframe_interval: frames from one keyframe to the next (the paper's l); 1 makes every
            frame a keyframe.

    Raises:
        ValueError: if the interval is not a positive integer.
    """

    def __init__(
        self, model: SegmentationModel, keyframe_interval: int = DEFAULT_KEYFRAME_INTERVAL
    ) -> None:
        self.model = model
        self.keyframe_interval = keyframe_interval
        self._state: _State | None = None

    @property
    def keyframe_interval(self) -> int:
        """Frames from one keyframe to the next; a change counts from the next frame on."""
        return self._keyframe_interval

    @keyframe_interval.setter
    def keyframe_interval(self, interval: int) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise ValueError(f"expected a keyframe interval of 1 or more, got {interval!r}")
        self._keyframe_interval = interval

    def reset(self) -> None:
        """Forget the past: the next frame is a keyframe."""
        self._state = None

    def step(self, image: NDArray[np.uint8], force_keyframe: str | None = None) -> Segmentation:
        """Label the next frame.

        Args:
            image: (H, W, 3) uint8 RGB. A change of size starts anew.
            force_keyframe: a reason that makes this frame a keyframe whatever the interval.

        Returns:
            Labels and confidence at the image's size, and where they come from.

        Raises:
            ValueError: if the image is not (H, W, 3) uint8 or too small; the state is kept.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected an (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
        started = time.perf_counter()
        height, width = image.shape[:2]
        info, device = self.model.info, self.model.device
        grid = grid_size(height, width, info.grid_stride)
        small = grid_image(image, grid, info.grid_filter)
        current = info.normalisation.apply(image_tensor(small, device))
        state = self._state
        reason = force_keyframe or self._keyframe_reason((height, width))
        prepared = time.perf_counter()
        if reason or state is None:
            published = self.model.segment(image_tensor(image, device))
            logits, age = self.model.to_grid(published, grid), 0
        else:
            published = logits = self.model.propagate(state.logits, current, state.image).logits
            age = state.age + 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # so that the stages' times mean something
        inferred = time.perf_counter()
        labels, confidence = labels_and_confidence(published[0], height, width)
        self._state = _State((height, width), logits, current, age)
        return Segmentation(
            labels,
            confidence,
            is_keyframe=bool(reason),
            keyframe_age=age,
            reason=reason,
            stage_ms={
                "prepare": 1e3 * (prepared - started),
                "network": 1e3 * (inferred - prepared),
                "labels": 1e3 * (time.perf_counter() - inferred),
            },
        )

    def _keyframe_reason(self, size: tuple[int, int]) -> str:
        if self._state is None:
            return "first"
        if self._state.size != size:
            return "size"
        return "interval" if self._state.age + 1 >= self.keyframe_interval else ""
