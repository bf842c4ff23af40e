# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Guided spatially-varying convolution: every cell has a kernel of its own."""

from torch import Tensor
from torch.nn import functional as F


def guided_filter(
    warped_logits: Tensor, mixing: Tensor, kernels: Tensor, intra_logits: Tensor | None
) -> Tensor:
    """Mix the warped logits, their filtered versions and the intra logits.

    Filtering with a weighted sum of kernels equals the weighted sum of filtered maps. So the
    bank is first reduced to one kernel per cell, which is then applied tap by tap: the filtered
    maps, as many as there are kernels and each as large as the logits, are never made.

    See: paper Sec. 3 (guided spatially-varying convolution).

    Args:
        warped_logits: Warped logits (N, K, h, w), float.
        mixing: Mixing weights (N, S, h, w) with slots in the order identity, D kernels, intra.
        kernels: Kernel bank (D, size, size), size odd.
        intra_logits: Logits of the intra network (N, K, h, w), or None if there is no such slot.

    Returns:
        The new logits (N, K, h, w). The same weights serve all classes.

    Raises:
        ValueError: If the number of slots does not fit the bank and the intra logits.

    Convention:
        kernels are correlated with the map, out(y, x) = sum of
        kernel(dy, dx) * in(y + dy, x + dx) with (0, 0) at the centre; zeros outside.
    """
    num_kernels, size, _ = kernels.shape
    num_slots = 1 + num_kernels + (intra_logits is not None)
    if mixing.shape[1] != num_slots:
        raise ValueError(
            f"mixing: expected {num_slots} slots (identity, {num_kernels} kernels"
            f"{'' if intra_logits is None else ', intra'}), got {mixing.shape[1]}; "
            "build the guiding network for this bank"
        )
    height, width = warped_logits.shape[-2:]
    radius = size // 2
    taps = _taps(kernels, mixing[:, 1 : 1 + num_kernels])
    padded = F.pad(warped_logits, (radius, radius, radius, radius))
    output = mixing[:, :1] * warped_logits
    for tap in range(size * size):
        top, left = divmod(tap, size)
        shifted = padded[:, :, top : top + height, left : left + width]
        output.addcmul_(taps[:, tap, None], shifted)
    if intra_logits is not None:
        output.addcmul_(mixing[:, -1:], intra_logits)
    return output


def _taps(kernels: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of the kernels, (N, size * size, h, w) in the dtype of the weights.

    Args:
        kernels: (D, size, size).
        weights: (N, D, h, w).
    """
    if weights.device.type != "cpu":
        return _taps_one_by_one(kernels, weights)
    taps = kernels.to(weights.dtype).flatten(1).t() @ weights.flatten(2)
    return taps.view(*taps.shape[:2], *weights.shape[2:])


def _taps_one_by_one(kernels: Tensor, weights: Tensor) -> Tensor:
    """Return what `_taps` returns, kernel by kernel.

    A GPU may round the inputs of a 1x1 convolution and, where somebody allows it, of a matrix
    product; and the state is fed back from frame to frame.
    """
    columns = kernels.float().flatten(1)[..., None, None]
    taps = columns[0] * weights[:, :1]
    for index in range(1, len(columns)):
        taps.addcmul_(columns[index], weights[:, index, None])
    return taps.to(weights.dtype)
