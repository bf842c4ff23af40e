# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The signals of a propagation step by name: what it says about its own quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.hardware.transfer import download
from gsvnet_model.networks.propagation import PropagationOutput
from gsvnet_model.ops.cpu.signals import add_signal_rows

SIGNAL_NAMES = (
    "residual",
    "large_residual",
    "outside",
    "difference",
    "flow",
    "shear",
    "corrected",
    "changed",
    "margin_drop",
)
"""Means over the cells of the grid, of which still ones count 0, in the order of the vectors that
`frame_signals` returns. They mean loss: added up since the keyframe, more of each is never a
better label.

residual: |current - warped previous image|, standard deviations; only where the point was inside.
large_residual: share of cells where that is above a half.
outside: share of cells whose point lay outside the previous image.
difference: |current - previous image|, standard deviations, without any warp.
flow: length of the flow, shares of the image's width.
shear: |flow - flow of the neighbour|, both directions added, cells.
corrected: share of cells that the mixing labels unlike the warped state.
changed: share of cells labelled unlike in the previous frame.
margin_drop: how much the state's margin fell with this step.

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
    """Measure one propagation step, next to free.

    A compiled loop takes the sums on the CPU. From a GPU the cells that are looked at, a few
    thousand, come there in one transfer.

    Args:
        output: what the step returned for N streams.
        current: (N, 3, h, w) normalised grid image of the current frame, float32.
        previous: (N, 3, h, w) normalised grid image of the previous frame, float32.
        previous_logits: (N, K, h, w), the state of the previous frame, float32.
        moving: (N, 1, h, w) bool of `changed_cells`: cells that keep their labels say nothing.

    Returns:
        (N, 9) in the order of `SIGNAL_NAMES`.
    """
    batch, _, height, width = output.logits.shape
    row_step = max(1, -(-height * width // _MAX_CELLS))
    fields = (
        current,
        previous,
        output.warped_previous,
        output.flow,
        previous_logits,
        output.warped_labels[:, None],
        output.logits,
        moving,
    )
    if current.device.type == "cpu":
        array_step = row_step
        arrays = [field.contiguous().numpy() for field in fields]
    else:
        array_step = 1
        arrays = _downloaded([field[:, :, ::row_step] for field in fields])
    sums = np.zeros((batch, len(SIGNAL_NAMES)))
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


def _downloaded(fields: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Return (N, C, r, w) fields of a GPU; in one transfer, since each one waits for it."""
    together = download(torch.cat([field.float() for field in fields], dim=1))
    ends = np.cumsum([field.shape[1] for field in fields])
    return np.split(together, ends[:-1], axis=1)
