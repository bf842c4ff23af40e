# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Backward warping: fetch the previous frame's values to where they are now."""

import torch
from torch import Tensor
from torch.nn import functional as F


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
            f"values: expected a grid of at least 2x2, got {height}x{width}; use a larger image"
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
