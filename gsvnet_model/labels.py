# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From logits on the grid to labels and confidence of every pixel.

Interpolating all K classes to the size of the image and taking the highest costs more than a
propagation. Nothing here holds a (K, H, W) tensor: on the CPU a compiled loop compares classes
only where the winner changes, elsewhere the image is worked through in bands of rows.
"""

from __future__ import annotations

import functools
from typing import TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.classes import MAX_CLASSES
from gsvnet_model.compiled_rows import corner_aligned, fill_rows
from gsvnet_model.label_rows import fill_label_rows

_Axis: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]
"""For each pixel of an axis the cell at or before it and how far it is on to the next."""

_PIXELS_PER_THREAD = 1 << 18
"""Smaller images are not worth waking a second thread."""

_BAND_VALUES = 1 << 22
"""Interpolated logits per band of rows: 16 MiB, and about four times that at the peak."""


def labels_and_confidence(
    logits: Tensor, height: int, width: int, temperature: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label every pixel with its most likely class, and say how likely it is.

    The first call of a process on the CPU also loads the compiled loop, or compiles it (seconds)
    where no earlier process left it in a cache. Any logits will do to get that over with.

    Convention:
        Bilinear with align_corners=True: the corner pixels are the grid's corner cells. Logits
        are interpolated, then compared. For the confidence the softmax is taken on the grid and
        interpolated, so that it needs one class per pixel; at the grid's cells both agree.

    Args:
        logits: (K, h, w), any floating dtype, strides and device; K from 1 to 254.
        height: H, rows of the image, smaller or larger than h.
        width: W, columns of the image.
        temperature: what logits are divided by before the softmax of the confidence; above 1 it
            makes confidences lower. Labels do not depend on it.

    Returns:
        labels: (H, W) uint8, 0..K-1. Between tied classes either; any class where a logit is NaN.
        confidence: (H, W) uint8, floor(255 * probability of the label); 0 next to grid cells
            with a NaN or +inf logit.

    Raises:
        ValueError: if logits are not (K, h, w) of a floating dtype with 1 <= K <= 254 and at
            least one cell, or the size or the temperature is not positive.
    """
    if logits.ndim != 3 or not logits.is_floating_point():
        raise ValueError(
            f"expected floating (K, h, w) logits, got {tuple(logits.shape)} {logits.dtype}; "
            "pass the logits of one image"
        )
    num_classes, grid_height, grid_width = logits.shape
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(
            f"expected 1 to {MAX_CLASSES} classes, got {num_classes}; labels are uint8 and 255 "
            "means unlabeled"
        )
    if grid_height < 1 or grid_width < 1:
        raise ValueError(f"expected at least one grid cell, got {grid_height} x {grid_width}")
    if height < 1 or width < 1:
        raise ValueError(f"expected an image size of 1 x 1 or more, got {height} x {width}")
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0, got {temperature}")
    values = logits.detach().to(torch.float32)
    rows, columns = corner_aligned(grid_height, height), corner_aligned(grid_width, width)
    if values.device.type == "cpu":
        return _by_compiled_loop(values.contiguous(), rows, columns, temperature)
    return _by_bands(values, rows, columns, temperature)


def _by_compiled_loop(
    logits: Tensor, rows: _Axis, columns: _Axis, temperature: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label on the CPU; see `labels_and_confidence`. Logits are float32 and contiguous."""
    (above, down), (left, across) = rows, columns
    height, width = len(above), len(left)
    labels = np.empty((height, width), np.uint8)
    confidence = np.empty((height, width), np.uint8)
    # For each cell of a row the first pixel at or after it, and the width at the end.
    first_pixels = np.searchsorted(left, np.arange(logits.shape[2] + 1)).astype(np.uint64)
    fill = functools.partial(
        fill_label_rows,
        logits.numpy(),
        _probabilities(logits, temperature).numpy(),
        above,
        down,
        first_pixels,
        across,
        labels=labels,
        confidence=confidence,
    )
    fill_rows(fill, height, 1 + height * width // _PIXELS_PER_THREAD)
    return labels, confidence


def _by_bands(
    logits: Tensor, rows: _Axis, columns: _Axis, temperature: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label on any device in bands of rows; see `labels_and_confidence`. Logits are float32."""
    num_classes, grid_height, grid_width = logits.shape
    device = logits.device
    probabilities = _probabilities(logits, temperature)
    all_top = torch.from_numpy(rows[0]).to(device)
    all_down = torch.from_numpy(rows[1]).to(device)
    left = torch.from_numpy(columns[0]).to(device)
    right = (left + 1).clamp(max=grid_width - 1)
    across = torch.from_numpy(columns[1]).to(device)
    labels = torch.empty((len(all_top), len(left)), dtype=torch.uint8, device=device)
    confidence = torch.empty_like(labels)
    step = max(1, _BAND_VALUES // (num_classes * len(left)))
    for start in range(0, len(all_top), step):
        band = slice(start, start + step)
        top, down = all_top[band, None], all_down[band, None]
        bottom = (top + 1).clamp(max=grid_height - 1)
        blended = torch.lerp(logits[:, top[:, 0]], logits[:, bottom[:, 0]], down)
        winner = torch.lerp(blended[:, :, left], blended[:, :, right], across).argmax(0)
        p = torch.lerp(
            torch.lerp(probabilities[winner, top, left], probabilities[winner, bottom, left], down),
            torch.lerp(
                probabilities[winner, top, right], probabilities[winner, bottom, right], down
            ),
            across,
        )
        labels[band] = winner.to(torch.uint8)
        confidence[band] = (255 * p).nan_to_num(0).to(torch.uint8)
    return (
        cast(NDArray[np.uint8], labels.cpu().numpy()),
        cast(NDArray[np.uint8], confidence.cpu().numpy()),
    )


def _probabilities(logits: Tensor, temperature: float) -> Tensor:
    return torch.softmax(logits if temperature == 1 else logits / temperature, 0)
