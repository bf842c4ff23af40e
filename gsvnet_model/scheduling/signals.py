# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The signals of a propagation step by name: what it says about its own quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.networks.propagation import PropagationOutput
from gsvnet_model.ops.signals import StepFields, step_signals

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


def frame_signals(
    output: PropagationOutput,
    current: Tensor,
    previous: Tensor,
    previous_logits: Tensor,
    moving: Tensor,
) -> NDArray[np.float64]:
    """Measure one propagation step.

    Args:
        output: what the step returned for N streams.
        current: (N, 3, h, w) normalised grid image of the current frame, float32.
        previous: (N, 3, h, w) normalised grid image of the previous frame, float32.
        previous_logits: (N, K, h, w), the state of the previous frame, float32.
        moving: (N, 1, h, w) bool of `changed_cells`: cells that keep their labels say nothing.

    Returns:
        (N, 9) in the order of `SIGNAL_NAMES`.
    """
    return step_signals(
        StepFields(
            current,
            previous,
            output.warped_previous,
            output.flow,
            previous_logits,
            output.warped_labels[:, None],
            output.logits,
            moving,
        )
    )
