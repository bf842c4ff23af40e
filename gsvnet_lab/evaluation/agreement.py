# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Agreement of propagated labels with per-frame labels: a measure for footage without labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.segmenter import VideoSegmenter


@dataclass
class AgreementCounts:
    """Pixels by frames since the keyframe; index 0 is the keyframe itself.

    Attributes:
        pixels: compared.
        propagated: of these, where the stream's label is the one that the keyframe network gives
            this very frame.
        repeated: of these, where the label that the keyframe had there still is.
    """

    pixels: list[int] = field(default_factory=list)
    propagated: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)

    def add(
        self,
        age: int,
        per_frame: NDArray[np.uint8],
        propagated: NDArray[np.uint8],
        keyframe: NDArray[np.uint8],
    ) -> None:
        """Count one frame.

        Args:
            age: frames since the keyframe.
            per_frame: labels (H, W) of the keyframe network on this frame.
            propagated: labels (H, W) of the stream.
            keyframe: labels (H, W) that the stream's keyframe had.

        Raises:
            ValueError: if the shapes differ.
        """
        shapes = {labels.shape for labels in (per_frame, propagated, keyframe)}
        if len(shapes) != 1:
            raise ValueError(f"expected three label images of one shape, got {sorted(shapes)}")
        for counts in (self.pixels, self.propagated, self.repeated):
            counts.extend([0] * (age + 1 - len(counts)))
        self.pixels[age] += per_frame.size
        self.propagated[age] += int((per_frame == propagated).sum())
        self.repeated[age] += int((per_frame == keyframe).sum())

    def merge(self, other: AgreementCounts) -> None:
        """Add what was counted elsewhere."""
        for name in ("pixels", "propagated", "repeated"):
            mine, theirs = getattr(self, name), getattr(other, name)
            mine.extend([0] * (len(theirs) - len(mine)))
            for age, count in enumerate(theirs):
                mine[age] += count

    def agreement(self) -> list[float]:
        """Return the percent of pixels on which stream and per-frame labels agree, by age."""
        return self._percent(self.propagated)

    def repetition(self) -> list[float]:
        """Return the same of the keyframe's labels, repeated."""
        return self._percent(self.repeated)

    def _percent(self, counts: list[int]) -> list[float]:
        return [
            100 * count / pixels if pixels else float("nan")
            for count, pixels in zip(counts, self.pixels, strict=True)
        ]


def measure_agreement(
    model: SegmentationModel, images: Iterable[NDArray[np.uint8]], interval: int
) -> AgreementCounts:
    """Compare a stream with its keyframe network on every frame.

    Keyframes take nothing from the frames before (`temporal_blending` is 0), so that those of the
    stream are what the network says of every frame.

    Args:
        model: the weights.
        images: consecutive frames (H, W, 3) uint8 RGB.
        interval: frames from one keyframe to the next, at least 2.

    Raises:
        ValueError: if the interval leaves nothing to propagate, or there is no image.
    """
    if interval < 2:
        raise ValueError(
            f"expected an interval of at least 2 frames, got {interval}: with every frame a "
            "keyframe nothing is propagated"
        )
    stream = VideoSegmenter(model, interval, temporal_blending=0.0)
    every_frame = VideoSegmenter(model, 1, temporal_blending=0.0)
    counts = AgreementCounts()
    keyframe: NDArray[np.uint8] | None = None
    for image in images:
        step = stream.step(image)
        if step.is_keyframe or keyframe is None:
            keyframe = step.labels
            counts.add(0, keyframe, keyframe, keyframe)
        else:
            per_frame = every_frame.step(image).labels
            counts.add(step.keyframe_age, per_frame, step.labels, keyframe)
    if keyframe is None:
        raise ValueError("expected at least one image, got none")
    return counts
