# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Backward warping: fetch the previous frame's values to where they are now."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.ops.cpu.loops import fill_rows
from gsvnet_model.ops.cpu.propagation import warp_rows

_CELLS_PER_THREAD = 1 << 13
"""Smaller grids are not worth a second thread."""


def warp_state(
    logits: Tensor, image: Tensor, flow: Tensor, radius: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Warp logits and image along the flow, and find the winning class of every cell.

    On the CPU one compiled loop does all of it; every other device runs `warp_state_reference`.

    Args:
        logits: (N, K, h, w) float32, logits of the previous frame.
        image: (N, C, h, w) float32, image of the previous frame on the grid.
        flow: (N, 2, h, w) float32, (dx, dy) in cells of the grid.
        radius: width in cells of the border of zeros around the warped logits.

    Returns:
        warped logits (N, K, h + 2 radius, w + 2 radius) float32, warped image (N, C, h, w)
        float32, index of the highest warped logit (N, h, w) int32.

    Convention:
        see `backward_warp`.
    """
    if logits.device.type != "cpu":
        return warp_state_reference(logits, image, flow, radius)
    batch, num_classes, height, width = logits.shape
    padded = np.zeros((batch, num_classes, height + 2 * radius, width + 2 * radius), np.float32)
    warped_image = np.empty((batch, image.shape[1], height, width), np.float32)
    winners = np.empty((batch, height, width), np.int32)
    loop = functools.partial(
        warp_rows,
        logits.contiguous().flatten(2).numpy(),
        image.contiguous().flatten(2).numpy(),
        flow.contiguous().numpy(),
        radius,
        padded,
        warped_image,
        winners,
    )
    fill_rows(loop, batch * height, 1 + winners.size // _CELLS_PER_THREAD)
    return torch.from_numpy(padded), torch.from_numpy(warped_image), torch.from_numpy(winners)


def warp_state_reference(
    logits: Tensor, image: Tensor, flow: Tensor, radius: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `warp_state` with PyTorch, on any device and with gradients.

    Args:
        logits: (N, K, h, w), float.
        image: (N, C, h, w), float.
        flow: (N, 2, h, w), float, (dx, dy) in cells of the grid.
        radius: width in cells of the border of zeros around the warped logits.

    Returns:
        the three tensors of `warp_state`; the first two of the inputs' dtype.

    Raises:
        ValueError: see `backward_warp`.
    """
    num_classes = logits.shape[1]
    # Warped in one go, so that the warped image costs next to nothing.
    warped = backward_warp(torch.cat((logits, image), dim=1), flow)
    warped_logits = warped[:, :num_classes]
    labels = warped_logits.argmax(dim=1).to(torch.int32)
    if radius:
        warped_logits = F.pad(warped_logits, (radius, radius, radius, radius))
    return warped_logits, warped[:, num_classes:], labels


def backward_warp(values: Tensor, flow: Tensor) -> Tensor:
    """Sample the previous values where the flow points.

    See: paper Sec. 3 (warping the previous segmentation).

    Args:
        values: Values of the previous frame (N, C, h, w), float.
        flow: Displacement (N, 2, h, w), (dx, dy) in pixels of this grid, float.

    Returns:
        Values of the current frame (N, C, h, w), in the dtype of `values`.

    Raises:
        ValueError: If the shapes do not fit or a side is shorter than 2.

    Convention:
        out(x, y) = values(x + dx, y + dy); a flow of (+1, 0) reads from the right
        neighbour. Bilinear, align_corners=True (pixel centres are integers, zero flow is the
        identity), zeros outside. Sampled in float32 whatever the dtypes: in half precision the
        coordinates alone would be off by several hundredths of a pixel.
    """
    batch, _, height, width = values.shape
    if flow.shape != (batch, 2, height, width):
        raise ValueError(
            f"flow: expected shape {(batch, 2, height, width)} to warp values of shape "
            f"{tuple(values.shape)}, got {tuple(flow.shape)}; resize the flow to the grid first"
        )
    if height < 2 or width < 2:
        raise ValueError(
            "values: expected a grid of at least 2x2 cells (width x height), "
            f"got {width}x{height}; use a larger image"
        )
    flow = flow.float()
    rows = torch.arange(height, dtype=torch.float32, device=flow.device)
    columns = torch.arange(width, dtype=torch.float32, device=flow.device)
    x = (columns + flow[:, 0]) * (2 / (width - 1)) - 1
    y = (rows[:, None] + flow[:, 1]) * (2 / (height - 1)) - 1
    warped = F.grid_sample(
        values.float().contiguous(),  # cuDNN's sampler knows no other layout
        torch.stack((x, y), dim=-1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    return warped.to(values.dtype)
