# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a propagation step says about its own quality, next to free: nine means over the grid.

There is no kernel for a GPU: a few thousand cells are brought to the CPU in one transfer, and
their sums are taken there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.hardware.transfer import download
from gsvnet_model.ops.cpu.signals import NUM_SIGNALS, RESIDUAL_TAIL, add_signal_rows

_MAX_CELLS = 1 << 12
"""Of larger grids every second, third, ... row is looked at: means need no more cells."""


class StepFields(NamedTuple):
    """What the signals of a propagation step are computed from, on the grid.

    Attributes:
        current: (N, 3, h, w) float32, normalised image of the current frame.
        previous: (N, 3, h, w) float32, normalised image of the previous frame.
        warped_previous: (N, 3, h, w) float32, the previous image warped to the current frame.
        flow: (N, 2, h, w) float32, (dx, dy) in cells.
        previous_logits: (N, K, h, w) float32, the state of the previous frame.
        warped_labels: (N, 1, h, w) int32, winning classes of the warped state.
        logits: (N, K, h, w) float32, the state of the current frame.
        moving: (N, 1, h, w) bool of `changed_cells`; other cells keep their labels and add 0.
    """

    current: Tensor
    previous: Tensor
    warped_previous: Tensor
    flow: Tensor
    previous_logits: Tensor
    warped_labels: Tensor
    logits: Tensor
    moving: Tensor


def step_signals(fields: StepFields) -> NDArray[np.float64]:
    """Measure a propagation step.

    Args:
        fields: inputs and results of one step, on any device.

    Returns:
        (N, 9) means over the cells looked at; `signals_reference` says of what.
    """
    batch, _, height, width = fields.logits.shape
    row_step = _row_step(height, width)
    if fields.current.device.type == "cpu":
        array_step = row_step
        arrays = [field.contiguous().numpy() for field in fields]
    else:
        array_step = 1
        arrays = _downloaded([field[:, :, ::row_step] for field in fields])
    sums = np.zeros((batch, NUM_SIGNALS))
    for item in range(batch):
        image, before, warped, flow, old, carried, new, alive = (array[item] for array in arrays)
        add_signal_rows(
            image,
            before,
            warped,
            flow,
            old,
            carried[0].astype(np.int32, copy=False),
            new,
            alive[0].astype(np.bool_, copy=False),
            row_step,
            array_step,
            sums[item],
        )
    return np.asarray(sums / (-(-height // row_step) * width))


def signals_reference(fields: StepFields) -> NDArray[np.float64]:
    """Compute `step_signals` with PyTorch, on any device: the definition of the nine signals.

    Args:
        fields: inputs and results of one step.

    Returns:
        (N, 9) means of residual, large residual, outside, difference, flow, shear, corrected,
        changed and margin drop.

    Convention:
        A point of the previous image is outside if it lies more than half a cell beyond the
        border; where not every row is looked at, the lower border is that of the last group of
        rows. The neighbour of the shear is the cell to the left.
    """
    current, previous, warped_previous, flow, old, warped_labels, new, moving = fields
    height, width = new.shape[-2:]
    row_step = _row_step(height, width)
    bottom = -(-height // row_step) * row_step
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device),
        torch.arange(width, device=flow.device),
        indexing="ij",
    )
    place_x, place_y = x + flow[:, 0], y + flow[:, 1]
    inside = (place_x > -0.5) & (place_x < width - 0.5)
    inside &= (place_y > -0.5) & (place_y < bottom - 0.5)
    residual = (current - warped_previous).abs().mean(1)
    shear = torch.zeros_like(residual)
    shear[..., 1:] = (flow[..., 1:] - flow[..., :-1]).abs().sum(1)
    labels = new.argmax(1)
    signals = torch.stack(
        [
            residual * inside,
            ((residual > RESIDUAL_TAIL) & inside).float(),
            (~inside).float(),
            (current - previous).abs().mean(1),
            flow.norm(dim=1) / width,
            shear,
            (labels != warped_labels[:, 0]).float(),
            (labels != old.argmax(1)).float(),
            _margin(old) - _margin(new),
        ],
        dim=1,
    )
    counted = (signals * moving)[:, :, ::row_step].double()
    return np.asarray(counted.mean((2, 3)).cpu().numpy())


def _margin(logits: Tensor) -> Tensor:
    """Return d / (1 + d) of (N, K, h, w) logits, d the lead of the highest over the second."""
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return (first - second) / (1 + first - second)


def _row_step(height: int, width: int) -> int:
    """Return how many rows lie from one row of the grid that is looked at to the next."""
    return max(1, -(-height * width // _MAX_CELLS))


def _downloaded(fields: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Return (N, C, r, w) fields of a GPU; in one transfer, since each one waits for it."""
    together = download(torch.cat([field.float() for field in fields], dim=1))
    ends = np.cumsum([field.shape[1] for field in fields])
    return np.split(together, ends[:-1], axis=1)
