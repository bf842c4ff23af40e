# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From logits on the grid to labels and confidence of every pixel.

Interpolating all K classes to the size of the image and taking the highest costs more than a
propagation. So on the CPU a compiled loop compares classes only where the winner changes, and on a
GPU a Triton kernel keeps the interpolated values to itself. The reference, which any other device
runs, interpolates all classes, as many at once as memory allows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.hardware.transfer import download
from gsvnet_model.ops.cpu.labels import fill_label_rows
from gsvnet_model.ops.cpu.loops import corner_aligned, fill_rows
from gsvnet_model.outputs.classes import MAX_CLASSES

_Axis: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]
"""For each pixel of an axis the cell at or before it and how far it is on to the next."""

_PIXELS_PER_THREAD = 1 << 18
"""Smaller images are not worth a second thread."""

_TIES = 1e-3
"""Most pixels, as a share, in which two classes are so close that rounding may choose."""

_INTERPOLATED_VALUES = 1 << 26
"""Interpolated logits at once: 256 MiB; 32 classes of a 2048x1024 image, 8 of a 3840x2160 one."""


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
    if logits.device.type != "cpu":
        labels, confidence = download(labels_on_device(logits, height, width, temperature))
        return labels, confidence
    values = _checked(logits, height, width, temperature).contiguous()
    return _by_compiled_loop(
        values,
        _probabilities(values, temperature),
        corner_aligned(values.shape[1], height),
        corner_aligned(values.shape[2], width),
    )


def labels_on_device(logits: Tensor, height: int, width: int, temperature: float = 1.0) -> Tensor:
    """Compute labels and confidence where the logits are, without waiting for the device.

    Args:
        logits: (K, h, w), any floating dtype, strides and device; K from 1 to 254.
        height: H, rows of the image.
        width: W, columns of the image.
        temperature: what logits are divided by before the softmax of the confidence.

    Returns:
        (2, H, W) uint8 on the device of the logits: labels, then confidence, with the meaning
        that they have in `labels_and_confidence`.

    Raises:
        ValueError: in the cases of `labels_and_confidence`.

    Convention:
        Bilinear with align_corners=True.
    """
    values = _checked(logits, height, width, temperature).contiguous()
    compute = _checked_kernel() if values.is_cuda else labels_reference
    return compute(values, _probabilities(values, temperature), height, width)


def labels_reference(values: Tensor, probabilities: Tensor, height: int, width: int) -> Tensor:
    """Label by interpolating all classes with PyTorch, on any device.

    Args:
        values: (K, h, w) float32 logits.
        probabilities: (K, h, w) float32 softmax of the logits.
        height: H, rows of the image.
        width: W, columns of the image.

    Returns:
        (2, H, W) uint8: labels, then confidence.
    """
    at_once = max(1, _INTERPOLATED_VALUES // (height * width))
    parts = zip(torch.split(values, at_once), torch.split(probabilities, at_once), strict=True)
    highest, winner, p = _best(*next(parts), height, width)
    for index, part in enumerate(parts, start=1):
        value, label, label_p = _best(*part, height, width)
        wins = value > highest
        highest = torch.where(wins, value, highest)
        winner = torch.where(wins, label + index * at_once, winner)
        p = torch.where(wins, label_p, p)
    return torch.stack((winner.to(torch.uint8), (255 * p).nan_to_num(0).to(torch.uint8)))


@functools.cache
def _checked_kernel() -> Callable[..., Tensor]:
    """Return the Triton kernel behind its check; needs a GPU's modules, hence imported here."""
    from gsvnet_model.ops.cuda.checked_kernel import CheckedKernel

    return CheckedKernel(labels_reference, _load_kernel, _agree)


def _load_kernel() -> Callable[..., Tensor]:
    from gsvnet_model.ops.cuda.labels import label_pixels

    return label_pixels


def _agree(got: Tensor, expected: Tensor) -> bool:
    """Return whether labels differ at ties alone, which rounding decides, and confidences by 1."""
    same = got[0] == expected[0]
    off = (got[1].int() - expected[1].int()).abs()
    return float(same.float().mean()) > 1 - _TIES and int(torch.where(same, off, 0).max()) <= 1


def _best(
    logits: Tensor, probabilities: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the highest of some (k, h, w) logits in every pixel, its index and probability."""
    value, index = _interpolated(logits, height, width).max(0)
    p = _interpolated(probabilities, height, width).gather(0, index[None])[0]
    return value, index, p


def _interpolated(values: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(values[None], (height, width), mode="bilinear", align_corners=True)[0]


def _checked(logits: Tensor, height: int, width: int, temperature: float) -> Tensor:
    """Return the logits in float32."""
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
        raise ValueError(
            "expected logits on a grid of at least 1x1 cells (width x height), "
            f"got {grid_width}x{grid_height}"
        )
    if height < 1 or width < 1:
        raise ValueError(
            f"expected an image of at least 1x1 pixels (width x height), got {width}x{height}"
        )
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0, got {temperature}")
    return logits.detach().to(torch.float32)


def _by_compiled_loop(
    logits: Tensor, probabilities: Tensor, rows: _Axis, columns: _Axis
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label on the CPU.

    Args:
        logits: (K, h, w) float32, contiguous.
        probabilities: (K, h, w) float32, softmax of the logits.
        rows: where the H rows of the image lie on the grid.
        columns: where the W columns of the image lie on the grid.

    Returns:
        labels and confidence, (H, W) uint8 each.
    """
    (above, down), (left, across) = rows, columns
    height, width = len(above), len(left)
    labels = np.empty((height, width), np.uint8)
    confidence = np.empty((height, width), np.uint8)
    # For each cell of a row the first pixel at or after it, and the width at the end.
    first_pixels = np.searchsorted(left, np.arange(logits.shape[2] + 1)).astype(np.uint64)
    fill = functools.partial(
        fill_label_rows,
        logits.numpy(),
        probabilities.numpy(),
        above,
        down,
        first_pixels,
        across,
        labels=labels,
        confidence=confidence,
    )
    fill_rows(fill, height, 1 + height * width // _PIXELS_PER_THREAD)
    return labels, confidence


def _probabilities(logits: Tensor, temperature: float) -> Tensor:
    return torch.softmax(logits if temperature == 1 else logits / temperature, 0)
