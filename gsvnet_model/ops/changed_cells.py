# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Static-cell gating: cells of the grid in which nothing moves keep their labels.

A propagation step repairs what it thinks it sees, a little everywhere and every time: on a
standing scene the labels drift away from the keyframe's. A cell whose surroundings look as they
did needs no repair.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.ops.cpu.changed_cells import find_changed_cells

_SAME = 0.1
"""Images that differ by less show the same, standard deviations: five grey levels, several times
the noise of a camera averaged over a cell, and less than most edges that move."""


def changed_cells(current: Tensor, reference: Tensor) -> Tensor:
    """Return where the image changed, in a cell or one of its eight neighbours.

    A change of the whole image's brightness is no change. On the CPU a compiled loop looks in one
    pass; every other device runs `changed_cells_reference`.

    Args:
        current: (N, 3, h, w) normalised grid image, float32, w at least 2.
        reference: (N, 3, h, w) normalised grid image that the state was computed for; not the
            frame before, so that slow changes add up until they count.

    Returns:
        (N, 1, h, w) bool.
    """
    if current.device.type != "cpu":
        return changed_cells_reference(current, reference)
    batch, _, height, width = current.shape
    moving = np.empty((batch, height, width), np.bool_)
    now, before = (
        image.permute(0, 2, 3, 1).reshape(batch, height, -1).contiguous().numpy()
        for image in (current, reference)
    )
    find_changed_cells(now, before, _SAME, moving)
    return torch.from_numpy(moving)[:, None]


def changed_cells_reference(current: Tensor, reference: Tensor) -> Tensor:
    """Compute `changed_cells` with PyTorch, on any device.

    Args:
        current: (N, 3, h, w) normalised grid image, float32.
        reference: (N, 3, h, w) normalised grid image to compare with, float32.

    Returns:
        (N, 1, h, w) bool.
    """
    difference = current - reference
    # A camera that adapts its exposure is no motion.
    difference = difference - difference.mean((2, 3), keepdim=True)
    largest = difference.abs().amax(1, keepdim=True)
    return F.max_pool2d(largest, 3, stride=1, padding=1) > _SAME


def where_moving(moving: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return the new values in cells that move and the old values in cells that stand still.

    Args:
        moving: (N, 1, h, w) bool of `changed_cells`.
        new: (N, C, h, w), logits or image.
        old: (N, C, h, w), of the same dtype.
    """
    return torch.where(moving, new, old)
