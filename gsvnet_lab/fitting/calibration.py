# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Temperatures that calibrate the confidences, by keyframe age and estimated disagreement.

See: Guo et al., "On calibration of modern neural networks" (temperature scaling).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.state import StreamState, keyframe_state, propagate_states

TEMPERATURES: NDArray[np.float64] = np.exp(np.linspace(np.log(0.4), np.log(4.0), 47))
"""Candidate temperatures, in steps of 5 %."""

_SLOPES: NDArray[np.float64] = np.linspace(-0.06, 0.06, 121)
_LONG_INTERVAL = 24
"""Keyframe interval where slopes are fitted: as long as an adaptive policy's may become."""

_PIXELS_PER_FRAME = 4000
_MIN_PROBABILITY = 1e-6


def fit_temperatures(
    model: SegmentationModel, video: Sequence[LabelledImage], num_ages: int, seed: int = 0
) -> tuple[float, ...]:
    """Return the temperature of every keyframe age under which the truth is most likely.

    Keyframes follow each other at a distance of `num_ages` frames, so that every frame is used
    once. The labels do not change, only their confidences. The temperature slope of the weights
    applies in addition to what is returned.

    Args:
        model: the weights. On footage that they were trained on, confidences come out too high.
        video: consecutive frames of one size, pairs of an image (H, W, 3) uint8 RGB and labels
            (H, W) uint8, 255 where there is no truth.
        num_ages: number of temperatures; the last one is used for all older frames too.
        seed: seed of the choice of pixels.

    Returns:
        One temperature per keyframe age, 0.4 to 4.

    Raises:
        ValueError: if the video holds no labelled pixel at some age.
    """
    if not 1 <= num_ages <= len(video):
        raise ValueError(f"expected 1 to {len(video)} ages (frames), got {num_ages}")
    negative_log_likelihood = np.zeros((num_ages, len(TEMPERATURES)))
    missing = set(range(num_ages))
    for frame in _judged_frames(model, tqdm(video, desc="calibrating"), num_ages, seed):
        negative_log_likelihood[frame.age] += frame.loss_with(model.info.temperature_slope)
        missing.discard(frame.age)
    if missing:
        raise ValueError(f"expected labelled pixels at every age, got none at {sorted(missing)}")
    return tuple(float(TEMPERATURES[best]) for best in negative_log_likelihood.argmin(1))


def fit_temperature_slope(
    model: SegmentationModel, videos: Sequence[Sequence[LabelledImage]], seed: int = 0
) -> float:
    """Return by how much the temperature has to rise with the estimated disagreement.

    A temperature of keyframes is fitted at the same time and not returned: on footage that the
    weights were trained on keyframes are too confident, but what propagation loses is the same.

    Args:
        model: the weights with their estimate of quality; their temperatures do not matter.
        videos: videos, each as `fit_temperatures` takes it.
        seed: seed of the choice of pixels.

    Returns:
        Rise of the logarithm of the temperature per percent of disagreement.
    """
    frames = [
        frame
        for video in tqdm(videos, desc="confidence")
        for frame in _judged_frames(model, video, _LONG_INTERVAL, seed)
    ]
    negative_log_likelihood = [
        np.sum([frame.loss_with(slope) for frame in frames], axis=0).min() for slope in _SLOPES
    ]
    return float(_SLOPES[int(np.argmin(negative_log_likelihood))])


@dataclass(frozen=True)
class _JudgedFrame:
    """Likelihood of the truth in one frame.

    Attributes:
        age: frames since the keyframe.
        disagreement: estimated disagreement, percent of pixels.
        negative_log_likelihood: negative log probability of the truth, for each of `TEMPERATURES`.
    """

    age: int
    disagreement: float
    negative_log_likelihood: NDArray[np.float64]

    def loss_with(self, slope: float) -> NDArray[np.float64]:
        """Return the negative log-likelihoods for temperatures raised by a slope."""
        logarithms = np.log(TEMPERATURES)
        raised = logarithms + slope * self.disagreement
        return np.interp(raised, logarithms, self.negative_log_likelihood)


def _judged_frames(
    model: SegmentationModel, video: Iterable[LabelledImage], interval: int, seed: int
) -> Iterator[_JudgedFrame]:
    """Yield the frames of a video that have a truth; every `interval`-th one is a keyframe."""
    rng = np.random.default_rng(seed)
    state: StreamState | None = None
    for index, (image, truth) in enumerate(video):
        on_grid = model.grid_input(image)
        if state is None or index % interval == 0:
            logits, state = keyframe_state(model, image, on_grid)
        else:
            (propagated,) = propagate_states(model, [state], [on_grid])
            state = state.followed_by(propagated, on_grid)
            logits = state.logits
        rows, columns = np.nonzero(truth < model.info.classes.num_classes)
        if len(rows):
            chosen = rng.integers(len(rows), size=_PIXELS_PER_FRAME)
            negative_log_likelihood = _negative_log_likelihood(
                logits, rows[chosen], columns[chosen], truth
            )
            yield _JudgedFrame(
                state.quality.age, state.quality.disagreement, negative_log_likelihood
            )


@torch.inference_mode()
def _negative_log_likelihood(
    logits: Tensor,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    truth: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Return the negative log probability of the truth at some pixels, for every temperature.

    Convention:
        Softmax on the grid, then bilinear with align_corners=True, as `labels_and_confidence`.

    Args:
        logits: (1, K, h, w) logits on the grid.
        rows: (P,) rows of the pixels.
        columns: (P,) columns of the pixels.
        truth: (H, W) uint8 class ids.

    Returns:
        One sum per temperature.
    """
    height, width = truth.shape
    places = np.stack((2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1), axis=-1)
    grid = torch.from_numpy(places.astype(np.float32)).to(logits.device)[None, None]
    classes = torch.from_numpy(truth[rows, columns].astype(np.int64)).to(logits.device)
    sums = []
    for temperature in TEMPERATURES:
        probabilities = torch.softmax(logits.float().contiguous() / float(temperature), 1)
        sampled = F.grid_sample(probabilities, grid, align_corners=True)[0, :, 0]
        of_truth = sampled.gather(0, classes[None]).clamp_(min=_MIN_PROBABILITY)
        sums.append(-float(of_truth.log().sum()))
    return np.array(sums)
