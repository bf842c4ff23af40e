# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a propagation step says about its own quality, next to free."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.device_transfer import download
from gsvnet_model.propagation import PropagationOutput
from gsvnet_model.scheduling.signal_rows import add_signal_rows

SIGNAL_NAMES = (
    "residual",
    "large_residual",
    "outside",
    "difference",
    "flow",
    "disagreement",
    "contradiction",
    "intra_weight",
    "null_weight",
    "mixing_spread",
    "corrected",
    "changed",
    "margin_drop",
    "doubt",
    "boundary",
    "shear",
)
"""Means over the cells of the grid, of which still ones count 0, in the order of the vectors that
`frame_signals` returns.

residual: |current - warped previous image|, standard deviations; only where the point was inside.
large_residual: share of cells where that is above a half.
outside: share of cells whose point lay outside the previous image.
difference: |current - previous image|, standard deviations, without any warp.
flow: length of the flow, shares of the image's width.
disagreement: share of cells that the intra network labels unlike the warped state.
contradiction: margin of the intra network where it labels unlike the new state.
intra_weight, null_weight: weight of these slots in the mixing.
mixing_spread: 1 - sum of the squared mixing weights: 0 where one slot has all.
corrected: share of cells that the mixing labels unlike the warped state.
changed: share of cells labelled unlike in the previous frame.
margin_drop: how much the state's margin fell with this step.
doubt: 1 - margin of the new state.
boundary: share of cells labelled unlike their neighbour.
shear: |flow - flow of the neighbour|, both directions added, cells.

A margin is d / (1 + d), d the lead of the highest logit over the second.
"""

_MAX_CELLS = 1 << 12
"""Of larger grids every second, third, ... row is looked at: means need no more cells."""


def frame_signals(
    output: PropagationOutput,
    current: Tensor,
    previous: Tensor,
    previous_logits: Tensor,
    moving: Tensor,
) -> NDArray[np.float64]:
    """Measure one propagation step.

    Args:
        output: what the step returned.
        current: (N, 3, h, w) normalised grid image of the current frame, float32, as were
        previous: that of the previous frame, and
        previous_logits: (N, K, h, w), the state of the previous frame.
        moving: (N, 1, h, w) bool of `moving_cells`: cells that keep their labels say nothing.

    Returns:
        (N, 16) in the order of `SIGNAL_NAMES`.
    """
    batch, _, height, width = output.logits.shape
    row_step = max(1, -(-height * width // _MAX_CELLS))
    intra = output.logits[:, :0] if output.intra_logits is None else output.intra_logits
    fields = (
        current,
        previous,
        output.warped_previous,
        output.flow,
        previous_logits,
        output.warped_logits,
        intra,
        output.logits,
        output.mixing,
    )
    rows = _chosen_rows((*fields, moving), row_step)
    sums = np.zeros((batch, len(SIGNAL_NAMES)))
    for item in range(batch):
        image, before, warped, flow, old, carried, seen, new, mixing, alive = (
            values[item] for values in rows
        )
        add_signal_rows(
            image,
            before,
            warped,
            flow,
            old,
            carried,
            seen,
            new,
            mixing,
            alive[0] != 0,
            row_step,
            sums[item],
        )
    return np.asarray(sums / (rows[0].shape[2] * width))


def _chosen_rows(fields: tuple[Tensor, ...], row_step: int) -> list[NDArray[np.float32]]:
    """Return every `row_step`-th row of (N, C, h, w) fields, float32 on the CPU."""
    chosen = [field[:, :, ::row_step].float() for field in fields]
    if chosen[0].device.type == "cpu":
        # In one layout, so that the loop is compiled once, for grids of any size.
        return [field.contiguous().numpy() for field in chosen]
    # In one transfer: each one waits for the device.
    together = download(torch.cat(chosen, dim=1))
    ends = np.cumsum([field.shape[1] for field in fields])
    return np.split(together, ends[:-1], axis=1)
