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

from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_lab.evaluation.metrics import ConfusionMatrix, pooled
from gsvnet_lab.evaluation.reliability import ReliabilityHistogram
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.warp import backward_warp
from gsvnet_model.scheduling.quality import FrameQuality
from gsvnet_model.stream.advance import advance
from gsvnet_model.stream.state import Decoded, decode_labels

KeyframeOutput = Literal["network", "grid"]
KEYFRAME_OUTPUTS: tuple[str, ...] = get_args(KeyframeOutput)

_BATCH = 16
"""Keyframes that are propagated together."""


@dataclass(frozen=True)
class DistanceEvaluation:
    """What was counted by distance, index = frames since the keyframe.

    Attributes:
        propagated: of the propagation network.
        repeated: of the keyframe's labels, kept as they are.
        warped: of the keyframe's logits, moved along the flow and not mixed.
        reliability: confidences of the propagation network.
    """

    propagated: tuple[ConfusionMatrix, ...]
    repeated: tuple[ConfusionMatrix, ...]
    warped: tuple[ConfusionMatrix, ...]
    reliability: tuple[ReliabilityHistogram, ...]

    @classmethod
    def empty(cls, num_classes: int, max_interval: int) -> DistanceEvaluation:
        """Return counts of nothing.

        Raises:
            ValueError: if there is no distance to count at.
        """
        if max_interval < 1:
            raise ValueError(f"expected at least one distance, got max_interval {max_interval}")
        propagated, repeated, warped = (
            tuple(ConfusionMatrix(num_classes) for _ in range(max_interval)) for _ in range(3)
        )
        reliability = tuple(ReliabilityHistogram() for _ in range(max_interval))
        return cls(propagated, repeated, warped, reliability)

    @property
    def max_interval(self) -> int:
        """The number of distances."""
        return len(self.propagated)

    def average_miou(self, interval: int) -> float:
        """Return the paper's "avg mIoU": percent, pooled over the distances of an interval."""
        return pooled(list(self._first(interval))).miou()

    def minimum_miou(self, interval: int) -> float:
        """Return the paper's "min mIoU": percent, at the last distance of an interval."""
        return self._first(interval)[-1].miou()

    def _first(self, interval: int) -> tuple[ConfusionMatrix, ...]:
        if not 1 <= interval <= self.max_interval:
            raise ValueError(
                f"expected an interval of 1 to {self.max_interval} as evaluated, got {interval}"
            )
        return self.propagated[:interval]


def evaluate_distances(
    model: SegmentationModel,
    sequence: Sequence[LabelledImage],
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
        Confusion matrices and confidences at full resolution.

    Raises:
        ValueError: if the sequence is too short, its frames differ in size or an argument is
            out of range.

    See: paper Sec. 4.1 (average and minimum mIoU).
    """
    result = DistanceEvaluation.empty(model.info.classes.num_classes, max_interval)
    for first in tqdm(range(0, len(sequence), _BATCH), desc="evaluating"):
        starts = range(first, min(first + _BATCH, len(sequence)))
        count_keyframes(result, model, sequence, starts, keyframe_output)
    return result


@torch.inference_mode()
def count_keyframes(
    result: DistanceEvaluation,
    model: SegmentationModel,
    sequence: Sequence[LabelledImage],
    starts: range,
    keyframe_output: KeyframeOutput = "network",
) -> None:
    """Propagate some keyframes together and count their labels; see `evaluate_distances`.

    Args:
        result: what to add to; its number of distances is how far keyframes are propagated.
        model: the weights.
        sequence: consecutive frames, of which only those needed are read.
        starts: the frames that are keyframes, consecutive.
        keyframe_output: as for `evaluate_distances`.

    Raises:
        ValueError: as `evaluate_distances`.
    """
    max_interval = result.max_interval
    if keyframe_output not in KEYFRAME_OUTPUTS:
        raise ValueError(
            f"expected a keyframe output out of {KEYFRAME_OUTPUTS}, got {keyframe_output!r}"
        )
    if len(sequence) < max_interval:
        raise ValueError(f"expected at least {max_interval} frames, got {len(sequence)}")
    frames = _Frames(model, sequence, starts.start, starts.stop + max_interval - 1)
    keyframe_logits = [model.segment(image_tensor(frames.image(t), model.device)) for t in starts]
    state = torch.cat([model.to_grid(logits, frames.grid) for logits in keyframe_logits])
    if keyframe_output == "grid":
        keyframe_logits = [state[number][None] for number in range(len(state))]
    qualities = [FrameQuality() for _ in starts]
    keyframes = [frames.labels(logits, FrameQuality()) for logits in keyframe_logits]
    shown = list(keyframes)
    warped_state, reference = state, frames.inputs(starts)
    for distance in range(max_interval):
        # Near the end of the sequence keyframes run out of frames to be propagated to.
        count = min(len(starts), len(sequence) - distance - starts.start)
        if count <= 0:
            break
        if distance:
            targets = range(starts.start + distance, starts.start + distance + count)
            step = advance(model, state[:count], reference[:count], frames.inputs(targets))
            state, reference = step.logits, step.reference
            qualities = [
                step.quality_after(model, number, quality)
                for number, quality in enumerate(qualities[:count])
            ]
            warped_state = backward_warp(warped_state[:count], step.flow)
            for number in np.flatnonzero(step.moved).tolist():
                shown[number] = frames.labels(state[number][None], qualities[number])
        for number, start in enumerate(starts[:count]):
            target = start + distance
            if target < max_interval - 1:
                continue
            truth = frames.truth(target)
            warped = keyframes[number]
            if distance:
                warped = frames.labels(warped_state[number][None], qualities[number])
            result.propagated[distance].update(shown[number].labels, truth)
            result.reliability[distance].update(
                shown[number].labels, shown[number].confidence, truth
            )
            result.warped[distance].update(warped.labels, truth)
            result.repeated[distance].update(keyframes[number].labels, truth)


class _Frames:
    """The frames of one batch, read once."""

    def __init__(
        self,
        model: SegmentationModel,
        sequence: Sequence[LabelledImage],
        start: int,
        stop: int,
    ) -> None:
        self._start = start
        self._pairs = [sequence[index] for index in range(start, min(stop, len(sequence)))]
        height, width = self._pairs[0][1].shape
        self._size = (height, width)
        self._model = model
        self.grid = model.info.grid_size(height, width)
        inputs = []
        for image, truth in self._pairs:
            if image.shape != (*self._size, 3) or truth.shape != self._size:
                raise ValueError(
                    f"expected images and labels of {self._size} throughout the sequence, "
                    f"got {image.shape} and {truth.shape}"
                )
            inputs.append(model.grid_input(image).normalised)
        self._inputs = torch.cat(inputs)

    def image(self, index: int) -> NDArray[np.uint8]:
        return self._pairs[index - self._start][0]

    def truth(self, index: int) -> NDArray[np.uint8]:
        return self._pairs[index - self._start][1]

    def inputs(self, indices: range) -> Tensor:
        """Return the normalised grid images (N, 3, h, w) of a run of frames."""
        return self._inputs[indices.start - self._start : indices.stop - self._start]

    def labels(self, logits: Tensor, quality: FrameQuality) -> Decoded:
        """Return labels and confidence, (H, W), that a stream decodes from (1, K, ., .) logits."""
        return decode_labels(self._model, logits, self._size, quality)
