# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a guiding network can see that belongs to no class."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NUM_MATCHES = 9
"""The warped previous image as it is and moved by each one-pixel shift of the kernel bank."""

NUM_CUES = NUM_MATCHES + 3 + 3 + 1 + 2 + 1
"""Matches, current image, confidence, edge, flow, outside."""

FLOW_SCALE = 0.25
"""Brings flows of a few cells to the size of the other cues."""


class Confidence(NamedTuple):
    """How sure logits are, whatever their classes are called; each (N, 1, h, w).

    Attributes:
        highest: probability of the winning class.
        margin: what the second class has less.
        entropy: of the probabilities, as a share of the largest possible, 0..1.
    """

    highest: Tensor
    margin: Tensor
    entropy: Tensor


def confidence_of(probabilities: Tensor) -> Confidence:
    """Return how sure probabilities (N, K, h, w), K at least 2, are.

    The order of the classes does not matter, and neither, as far as it can be, does their number.
    """
    highest = probabilities.topk(2, dim=1).values
    first, second = highest[:, :1], highest[:, 1:]
    logarithms = probabilities.clamp(min=1e-12).log()
    entropy = -(probabilities * logarithms).sum(1, keepdim=True)
    largest = torch.tensor(float(probabilities.shape[1])).log().item()
    return Confidence(first, first - second, entropy / largest)


def label_edges(labels: Tensor) -> Tensor:
    """Mark cells with a neighbour of another class.

    Unlike the released edge map (see `edge_map`) it does not depend on the numbers of the classes.

    Args:
        labels: class indices (N, h, w), integer.

    Returns:
        (N, 1, h, w) float32: 1 where one of the eight neighbours differs, else 0.

    Convention:
        cells outside the grid have no label and differ from none.
    """
    values = labels[:, None].float()
    highest = F.max_pool2d(values, 3, stride=1, padding=1)
    lowest = -F.max_pool2d(-values, 3, stride=1, padding=1)
    return (highest != lowest).float()


def match_errors(current: Tensor, warped_previous: Tensor) -> Tensor:
    """Say for each shift of the kernel bank how well it explains the current image.

    Args:
        current: normalised RGB image (N, 3, h, w), float.
        warped_previous: the previous image, warped, same layout.

    Returns:
        (N, 9, h, w): mean absolute difference over the colours, of the warped image as it is and
        moved by the shifts in the order of `ideal_delay_kernels`.

    Convention:
        a shift by (dy, dx) reads the warped image at (y + dy, x + dx); the border is repeated.
    """
    height, width = current.shape[-2:]
    padded = F.pad(warped_previous, (1, 1, 1, 1), mode="replicate")
    shifts = [(1, 1)] + [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    errors = [
        (padded[:, :, dy : dy + height, dx : dx + width] - current).abs().mean(1, keepdim=True)
        for dy, dx in shifts
    ]
    return torch.cat(errors, dim=1)


def kept_inside(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Let flow that points out of the grid point to its border instead.

    What enters the picture has no past. Logits of the nearest border are a better guess than
    zeros, which are no class at all and become the first one.

    Args:
        flow: (N, 2, h, w), (dx, dy) in cells.

    Returns:
        The flow (N, 2, h, w), and (N, 1, h, w) float32: 1 where it was changed, else 0.

    Convention:
        as `backward_warp`.
    """
    height, width = flow.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    dx = (flow[:, 0] + columns).clamp(0, width - 1) - columns
    dy = (flow[:, 1] + rows).clamp(0, height - 1) - rows
    inside = torch.stack((dx, dy), dim=1)
    # Not where rounding alone changed it.
    outside = ((inside - flow).abs() > 1e-3).any(1, keepdim=True)
    return inside, outside.float()


def class_free_cues(
    current: Tensor,
    warped_previous: Tensor,
    warped_probabilities: Tensor,
    edge: Tensor,
    flow: Tensor,
    outside: Tensor,
) -> Tensor:
    """Gather what the guide sees; nothing of it belongs to a class.

    Args:
        current: normalised RGB image (N, 3, h, w), float.
        warped_previous: the previous image, warped, same layout.
        warped_probabilities: softmax of the warped logits (N, K, h, w).
        edge: (N, 1, h, w), see `label_edges`.
        flow: (N, 2, h, w), cells.
        outside: (N, 1, h, w), see `kept_inside`.

    Returns:
        (N, `NUM_CUES`, h, w).
    """
    return torch.cat(
        (
            match_errors(current, warped_previous),
            current,
            *confidence_of(warped_probabilities),
            edge,
            flow * FLOW_SCALE,
            outside,
        ),
        dim=1,
    )
