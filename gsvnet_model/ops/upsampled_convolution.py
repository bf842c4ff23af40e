# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A 3x3 convolution of an upsampled map, mostly computed before the upsampling."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.ops.cpu.loops import as_numpy, corner_aligned, fill_rows
from gsvnet_model.ops.cpu.propagation import upsampled_sum_rows

_VALUES_PER_THREAD = 1 << 18
"""Smaller maps are not worth a second thread."""


class UpsampledConvolution:
    """Upsample bilinearly, convolve, replace negative values by 0, add another map.

    Upsampling and convolution are linear, so on the CPU the small map is multiplied with the
    weights of the nine taps first, and the products are upsampled and added: a quarter of the
    multiplications, and no large map to read. Every other device runs `reference`.

    See: paper Sec. 3.3 (guiding network); it upsamples before each convolution of its decoder.

    Args:
        conv: the convolution of the large map, on its device; 3x3 and keeping the size.
    """

    def __init__(self, conv: nn.Module) -> None:
        if (
            not isinstance(conv, nn.Conv2d)
            or conv.kernel_size != (3, 3)
            or conv.stride != (1, 1)
            or conv.padding != (1, 1)
        ):
            raise ValueError(f"expected a 3x3 convolution that keeps the size, got {conv}")
        self.conv = conv
        weight = conv.weight.detach()
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach()
        # (tap row, in channels, tap column * out channels): a row of the products of a tap row
        # is one piece of memory.
        self.tap_weight = weight.permute(2, 1, 3, 0).flatten(2).contiguous()
        self.bias = bias.float()

    def __call__(
        self, values: Tensor, size: tuple[int, int], added: Tensor | None = None
    ) -> Tensor:
        """Map (N, in channels, h', w') to (N, out channels, h, w) of the given size.

        Args:
            values: the small map.
            size: (h, w) of the large map and of the result.
            added: (N, out channels, h, w), or None to add nothing.

        Convention:
            Bilinear, align_corners=True; zeros outside the large map.
        """
        if values.device.type != "cpu":
            return self.reference(values, size, added)
        batch, channels, small_height, small_width = values.shape
        cells = values.permute(0, 2, 3, 1).reshape(-1, channels)
        products = torch.matmul(cells, self.tap_weight).view(3, batch * small_height, -1)
        if added is None:
            added = values.new_empty(0, len(self.bias), *size)
        out = values.new_empty(batch * size[0], size[1] * len(self.bias))
        loop = functools.partial(
            upsampled_sum_rows,
            as_numpy(products),
            self.bias.numpy(),
            *upsampled_taps(small_height, size[0]),
            *upsampled_taps(small_width, size[1]),
            as_numpy(added.permute(0, 2, 3, 1).reshape(-1, out.shape[1])),
            as_numpy(out),
        )
        fill_rows(loop, len(out), 1 + out.numel() // _VALUES_PER_THREAD)
        return out.view(batch, *size, -1).permute(0, 3, 1, 2)

    def reference(
        self, values: Tensor, size: tuple[int, int], added: Tensor | None = None
    ) -> Tensor:
        """Compute the result with PyTorch, on any device, one step after the other.

        Args:
            values: (N, in channels, h', w'), the small map.
            size: (h, w) of the large map and of the result.
            added: (N, out channels, h, w), or None to add nothing.

        Returns:
            (N, out channels, h, w).
        """
        large = F.interpolate(values, size, mode="bilinear", align_corners=True)
        convolved: Tensor = self.conv(large)
        convolved.relu_()
        return convolved if added is None else convolved.add_(added)


@functools.lru_cache(maxsize=64)
def upsampled_taps(small_size: int, size: int) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Return where the three taps along one axis of a large map read the small map.

    Args:
        small_size: cells of the small map's axis.
        size: cells of the large map's axis.

    Returns:
        cells: (size, 6), for each tap the small cell before and the one after.
        weights: (size, 6), their shares; 0 for a tap outside the large map.

    Convention:
        align_corners=True; tap t of cell i reads the large map at i + t - 1.
    """
    lower, weight = corner_aligned(small_size, size)
    cells = np.zeros((size, 3, 2), np.uint64)
    weights = np.zeros((size, 3, 2), np.float32)
    for tap in range(3):
        reading = np.arange(max(0, 1 - tap), min(size, size + 1 - tap))
        read = reading + tap - 1
        cells[reading, tap, 0] = lower[read]
        cells[reading, tap, 1] = np.minimum(lower[read] + 1, small_size - 1)
        weights[reading, tap, 0] = 1 - weight[read]
        weights[reading, tap, 1] = weight[read]
    return cells.reshape(size, 6), weights.reshape(size, 6)
