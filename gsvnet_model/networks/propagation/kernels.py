# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The bank of small kernels that the guiding network mixes."""

import torch
from torch import Tensor, nn

KERNEL_SIZES = (3, 5)


def ideal_delay_kernels(kernel_size: int) -> Tensor:
    """Make kernels that shift the map by whole pixels, and one that is zero.

    See: paper Sec. 3 (guided spatially-varying convolution). The paper mixes D kernels and the
    intra logits; the released implementation, followed here, leaves its last kernel zero and
    adds the identity outside the bank.

    Args:
        kernel_size: 3 for the 8 one-pixel shifts, 5 for 8 two-pixel shifts on top.

    Returns:
        Kernels (D, kernel_size, kernel_size), float32; D is 9 or 17, the null kernel last.

    Raises:
        ValueError: If the size is neither 3 nor 5.

    Convention:
        shifts (dy, dx) in row-major order over {-1, 0, 1}^2, then over {-2, 0, 2}^2,
        without (0, 0); a kernel has its one at (dy, dx) from the centre and is correlated with
        the map, so out(y, x) = in(y + dy, x + dx).
    """
    if kernel_size not in KERNEL_SIZES:
        raise ValueError(f"kernel_size: expected one of {KERNEL_SIZES}, got {kernel_size}")
    centre = kernel_size // 2
    shifts = [
        (dy, dx)
        for reach in range(1, centre + 1)
        for dy in (-reach, 0, reach)
        for dx in (-reach, 0, reach)
        if (dy, dx) != (0, 0)
    ]
    kernels = torch.zeros(len(shifts) + 1, kernel_size, kernel_size)
    for kernel, (dy, dx) in zip(kernels, shifts, strict=False):  # the null kernel has no shift
        kernel[centre + dy, centre + dx] = 1
    return kernels


class KernelBank(nn.Module):
    """Hold the kernels, frozen at the ideal delays or learned from there.

    Learned kernels include the null kernel, which then becomes a free one.
    """

    def __init__(self, kernel_size: int, learned: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(ideal_delay_kernels(kernel_size), requires_grad=learned)

    def forward(self) -> Tensor:
        """Return the kernels (D, kernel_size, kernel_size)."""
        return self.weight
