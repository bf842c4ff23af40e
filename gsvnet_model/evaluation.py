# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Accuracy by distance to the keyframe: the paper's protocol, with two baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from gsvnet_model.labels import labels_and_confidence
from gsvnet_model.metrics import ConfusionMatrix, pooled
from gsvnet_model.model import SegmentationModel
from gsvnet_model.preprocessing import grid_image, grid_size, image_tensor
from gsvnet_model.propagation.warp import backward_warp

KeyframeOutput = Literal["network", "grid"]
KEYFRAME_OUTPUTS: tuple[str, ...] = get_args(KeyframeOutput)

_BATCH = 16
"""Keyframes that are propagated together."""


@dataclass(frozen=True)
class DistanceEvaluation:
    """Confusion matrices by distance, index = frames since the keyframe.

    Attributes:
        propagated: of the propagation network.
        repeated: of the keyframe's labels, kept as they are.
        warped: of the keyframe's logits, moved along the flow and not mixed.
    """

    propagated: tuple[ConfusionMatrix, ...]
    repeated: tuple[ConfusionMatrix, ...]
    warped: tuple[ConfusionMatrix, ...]

    def average_miou(self, interval: int) -> float:
        """Return the paper's "avg mIoU": percent, pooled over the distances of an interval."""
        return pooled(list(self._first(interval))).miou()

    def minimum_miou(self, interval: int) -> float:
        """Return the paper's "min mIoU": percent, at the last distance of an interval."""
        return self._first(interval)[-1].miou()

    def _first(self, interval: int) -> tuple[ConfusionMatrix, ...]:
        if not 1 <= interval <= len(self.propagated):
            raise ValueError(
                f"expected an interval of 1 to {len(self.propagated)} as evaluated, got {interval}"
            )
        return self.propagated[:interval]


@torch.inference_mode()
def evaluate_distances(
    model: SegmentationModel,
    sequence: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    max_interval: int = 5,
    keyframe_output: KeyframeOutput = "network",
) -> DistanceEvaluation:
    """Label every frame of a sequence from keyframes at every distance.

    For every distance d below `max_interval` and every frame t from number max_interval - 1 on,
    frame t - d is a keyframe and is propagated to t. So all distances are judged on the same
    frames.

    Args:
        model: the weights.
        sequence: consecutive frames: image (H, W, 3) uint8 RGB and labels (H, W) uint8, 255
            where there is no truth. All of one size.
        max_interval: number of distances.
        keyframe_output: "network" publishes a keyframe from the network's own logits; "grid"
            from the state on the grid, as the paper does.

    Returns:
        Confusion matrices at full resolution.

    Raises:
        ValueError: if the sequence is too short, its frames differ in size or an argument is
            out of range.

    See: paper Sec. 4.1 (average and minimum mIoU).
    """
    if max_interval < 1:
        raise ValueError(f"expected at least one distance, got max_interval {max_interval}")
    if keyframe_output not in KEYFRAME_OUTPUTS:
        raise ValueError(
            f"expected a keyframe output out of {KEYFRAME_OUTPUTS}, got {keyframe_output!r}"
        )
    if len(sequence) < max_interval:
        raise ValueError(f"expected at least {max_interval} frames, got {len(sequence)}")
    num_classes = model.info.classes.num_classes
    matrices: tuple[tuple[ConfusionMatrix, ...], ...] = tuple(
        tuple(ConfusionMatrix(num_classes) for _ in range(max_interval)) for _ in range(3)
    )
    propagated, repeated, warped = matrices
    for first in tqdm(range(0, len(sequence), _BATCH), desc="evaluating"):
        starts = range(first, min(first + _BATCH, len(sequence)))
        frames = _Frames(model, sequence, starts.start, starts.stop + max_interval - 1)
        published = [model.segment(image_tensor(frames.image(t), model.device)) for t in starts]
        state = torch.cat([model.to_grid(logits, frames.grid) for logits in published])
        if keyframe_output == "grid":
            published = [state[number][None] for number in range(len(state))]
        keyframe_labels = [frames.labels(logits) for logits in published]
        warped_state = state
        for distance in range(max_interval):
            # Near the end of the sequence keyframes run out of frames to be propagated to.
            count = min(len(starts), len(sequence) - distance - starts.start)
            if count <= 0:
                break
            if distance:
                targets = range(starts.start + distance, starts.start + distance + count)
                current = frames.inputs(targets)
                previous = frames.inputs(range(targets.start - 1, targets.stop - 1))
                output = model.propagate(state[:count], current, previous)
                warped_state = backward_warp(warped_state[:count], output.flow)
                state = output.logits
            for number, start in enumerate(starts[:count]):
                target = start + distance
                if target < max_interval - 1:
                    continue
                truth = frames.truth(target)
                repeated[distance].update(keyframe_labels[number], truth)
                if distance:
                    propagated[distance].update(frames.labels(state[number][None]), truth)
                    warped[distance].update(frames.labels(warped_state[number][None]), truth)
                else:
                    propagated[0].update(keyframe_labels[number], truth)
                    warped[0].update(keyframe_labels[number], truth)
    return DistanceEvaluation(propagated, repeated, warped)


class _Frames:
    """The frames of one batch, read once."""

    def __init__(
        self,
        model: SegmentationModel,
        sequence: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
        start: int,
        stop: int,
    ) -> None:
        self._start = start
        self._pairs = [sequence[index] for index in range(start, min(stop, len(sequence)))]
        height, width = self._pairs[0][1].shape
        self._size = (height, width)
        self.grid = grid_size(height, width, model.info.grid_stride)
        inputs = []
        for image, truth in self._pairs:
            if image.shape != (*self._size, 3) or truth.shape != self._size:
                raise ValueError(
                    f"expected images and labels of {self._size} throughout the sequence, "
                    f"got {image.shape} and {truth.shape}"
                )
            small = grid_image(image, self.grid, model.info.grid_filter)
            inputs.append(model.info.normalisation.apply(image_tensor(small, model.device)))
        self._inputs = torch.cat(inputs)

    def image(self, index: int) -> NDArray[np.uint8]:
        return self._pairs[index - self._start][0]

    def truth(self, index: int) -> NDArray[np.uint8]:
        return self._pairs[index - self._start][1]

    def inputs(self, indices: range) -> Tensor:
        """Return the normalised grid images (N, 3, h, w) of a run of frames."""
        return self._inputs[indices.start - self._start : indices.stop - self._start]

    def labels(self, logits: Tensor) -> NDArray[np.uint8]:
        """Return (1, K, ., .) logits as (H, W) labels, as a stream would publish them."""
        return labels_and_confidence(logits[0], *self._size)[0]
