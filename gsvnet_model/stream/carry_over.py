# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What was carried along is a second opinion on a keyframe, and steadies its labels.

Two keyframes of one scene differ most where the network is unsure, and labels flicker from one to
the next. Mixing in a share of the labels that came from the keyframe before takes the mean of
several looks at one place. Where a frame is a keyframe without having been propagated, the flow
of the last step is taken to go on: one warp is next to nothing beside a keyframe.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.ops.warp import backward_warp

DEFAULT_CARRY_OVER = 0.3
"""Share at which labels flicker a fifth less; more costs accuracy faster than it steadies."""

MAX_CARRY_OVER = 0.9
"""With more, keyframes would hardly be any."""

_ALIKE = 0.5
"""Warped and new image show the same place where they differ by less, standard deviations."""

_FEWEST_ALIKE = 0.6
"""Share of such cells below which the scene is another one: in motion there are 0.75 and more,
in two unrelated images mostly less than 0.5."""


def moved_on(
    logits: Tensor, reference: Tensor, flow: Tensor, current: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the logits of the frame before, moved on as in the step before, and their weight.

    Args:
        logits: (1, K, h, w) float32.
        reference: (1, 3, h, w) normalised image that they belong to.
        flow: (1, 2, h, w) of the step that led to them, cells.
        current: (1, 3, h, w) normalised image of the frame to label.

    Returns:
        (1, K, h, w) and (1, 1, h, w): 1 where the image moved on shows what the new one shows,
        else 0; 0 throughout where that is so in few places.

    Convention:
        as `backward_warp`.
    """
    warped = backward_warp(torch.cat((logits, reference), 1), flow)
    carried, image = warped[:, : logits.shape[1]], warped[:, logits.shape[1] :]
    alike = ((image - current).abs().amax(1, keepdim=True) < _ALIKE).float()
    return carried, alike * (alike.mean() >= _FEWEST_ALIKE)


def mixed_in(
    own: Tensor, on_cells: Tensor, carried: Tensor, weight: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Mix logits that were carried along into those of a keyframe.

    Args:
        own: (1, K, ., .) logits of the keyframe network, which may be finer than the grid.
        on_cells: the same on the grid, (1, K, h, w).
        carried: (1, K, h, w).
        weight: of `carried`, 0..1; (1, 1, h, w) or one for all cells.

    Returns:
        Both with the carried logits in them. What is finer than the grid stays.

    Convention:
        Bilinear with align_corners=True, as the keyframe's logits come to the grid.
    """
    change = weight * (carried - on_cells)
    finer = change
    if own.shape != change.shape:
        finer = F.interpolate(change, own.shape[-2:], mode="bilinear", align_corners=True)
    return own + finer, on_cells + change
