# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Temperatures that make confidences mean what they say, by frames since the keyframe.

See: Guo et al., "On calibration of modern neural networks" (temperature scaling).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_model.model import SegmentationModel
from gsvnet_model.preprocessing import image_tensor
from gsvnet_model.scheduling import held, moving_cells

TEMPERATURES: NDArray[np.float64] = np.exp(np.linspace(np.log(0.4), np.log(4.0), 47))
"""The candidates: steps of 5 %."""

_PIXELS_PER_FRAME = 4000
_MIN_PROBABILITY = 1e-6


@torch.inference_mode()
def fit_temperatures(
    model: SegmentationModel,
    sequence: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    num_ages: int,
    seed: int = 0,
) -> tuple[float, ...]:
    """Return for every age the temperature under which the truth is most likely.

    Keyframes follow each other at a distance of `num_ages` frames, so that every frame is used
    once. The labels do not change, only their confidences.

    Args:
        model: the weights. Footage that they were trained on makes confidences too high.
        sequence: consecutive frames: image (H, W, 3) uint8 RGB and labels (H, W) uint8, 255
            where there is no truth. All of one size.
        num_ages: number of temperatures; the last one is that of all older frames too.
        seed: of the choice of pixels.

    Returns:
        One temperature per age, 0.4 to 4.

    Raises:
        ValueError: if the sequence holds no labelled pixel at some age.
    """
    if not 1 <= num_ages <= len(sequence):
        raise ValueError(f"expected 1 to {len(sequence)} ages (frames), got {num_ages}")
    info, device = model.info, model.device
    rng = np.random.default_rng(seed)
    surprise = np.zeros((num_ages, len(TEMPERATURES)))
    pixels = np.zeros(num_ages, np.int64)
    state = reference = torch.empty(0)
    for index in tqdm(range(len(sequence)), desc="calibrating"):
        image, truth = sequence[index]
        age = index % num_ages
        on_grid = model.grid_input(image)
        current = on_grid.normalised
        if age == 0:
            published = model.segment(image_tensor(image, device))
            state, reference = model.to_grid(published, on_grid.grey.shape[:2]), current
        else:
            moving = moving_cells(current, reference)
            output = model.propagate(state, current, reference)
            published = state = held(moving, output.logits, state)
            reference = held(moving, current, reference)
        rows, columns = np.nonzero(truth < info.classes.num_classes)
        if len(rows):
            chosen = rng.integers(len(rows), size=_PIXELS_PER_FRAME)
            rows, columns = rows[chosen], columns[chosen]
            surprise[age] += _surprise(published, rows, columns, truth)
            pixels[age] += len(rows)
    if not pixels.all():
        raise ValueError(
            f"expected labelled pixels at every age, got none at {np.flatnonzero(pixels == 0)}"
        )
    return tuple(float(TEMPERATURES[best]) for best in surprise.argmin(1))


def _surprise(
    logits: Tensor,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    truth: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Return the negative log probability of the truth at some pixels, for every temperature.

    Convention:
        As in `labels_and_confidence`: softmax on the grid, then bilinear with align_corners=True.

    Args:
        logits: (1, K, h, w).
        rows: (P,) of the pixels.
        columns: (P,) of the pixels.
        truth: (H, W) class ids.

    Returns:
        One sum per temperature.
    """
    height, width = truth.shape
    places = np.stack((2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1), axis=-1)
    grid = torch.from_numpy(places.astype(np.float32)).to(logits.device)[None, None]
    classes = torch.from_numpy(truth[rows, columns].astype(np.int64)).to(logits.device)
    sums = []
    for temperature in TEMPERATURES:
        probabilities = torch.softmax(logits.float() / float(temperature), 1)
        sampled = F.grid_sample(probabilities, grid, align_corners=True)[0, :, 0]
        of_truth = sampled.gather(0, classes[None]).clamp_(min=_MIN_PROBABILITY)
        sums.append(-float(of_truth.log().sum()))
    return np.array(sums)
