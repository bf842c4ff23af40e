# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Mixing: guided spatially-varying convolution, in which every cell has a kernel of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.ops.cpu.loops import as_numpy, fill_rows
from gsvnet_model.ops.cpu.propagation import mix_rows

EPSILON = 1e-9
"""Keeps the mixing weights finite in cells where the guiding network gives zero for every slot."""

_CELLS_PER_THREAD = 1 << 13
"""Smaller grids are not worth a second thread."""


def mix(
    padded: Tensor, intra_cues: Tensor | None, scores: Tensor, kernels: Tensor
) -> tuple[Tensor, Tensor]:
    """Normalise the guiding network's scores and mix the logits with them.

    On the CPU a compiled loop does both, on a GPU a Triton kernel that was compared with
    `mix_reference` at its first use; every other device runs `mix_reference`.

    See: paper Sec. 3 (guided spatially-varying convolution).

    Args:
        padded: warped logits (N, K, h + size - 1, w + size - 1) float32, zeros in the border.
        intra_cues: (N, K or more, h, w) of any floating dtype, the intra logits first; None if
            there is no intra slot.
        scores: (N, S, h, w) of any floating dtype, not negative; the slots are identity, D
            kernels and, with intra cues, intra.
        kernels: (D, size, size) float32, size odd.

    Returns:
        mixing weights (N, S, h, w) float32 and the new logits (N, K, h, w) float32.

    Convention:
        see `guided_filter`.
    """
    if scores.is_cuda:
        return _checked_kernel()(padded, intra_cues, scores, kernels)
    if scores.device.type != "cpu":
        return mix_reference(padded, intra_cues, scores, kernels)
    batch, num_slots, height, width = scores.shape
    if intra_cues is None:
        intra_cues = scores[:, :0]
    weights = np.empty((batch, num_slots, height, width), np.float32)
    mixed = np.empty((batch, padded.shape[1], height, width), np.float32)
    loop = functools.partial(
        mix_rows,
        padded.numpy(),
        as_numpy(intra_cues.permute(0, 2, 3, 1).contiguous()),
        as_numpy(scores.permute(0, 2, 3, 1).contiguous()),
        kernels.numpy(),
        EPSILON,
        weights,
        mixed,
    )
    fill_rows(loop, batch * height, 1 + batch * height * width // _CELLS_PER_THREAD)
    return torch.from_numpy(weights), torch.from_numpy(mixed)


def mix_reference(
    padded: Tensor, intra_cues: Tensor | None, scores: Tensor, kernels: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `mix` with PyTorch, on any device; the arguments and results are those of `mix`."""
    height, width = scores.shape[-2:]
    radius = kernels.shape[-1] // 2
    mixing = mixing_weights(scores)
    warped = padded[..., radius : radius + height, radius : radius + width]
    intra = None if intra_cues is None else intra_cues[:, : padded.shape[1]].float()
    return mixing, guided_filter(warped, mixing, kernels, intra)


def mixing_weights(scores: Tensor) -> Tensor:
    """Divide the guiding network's scores by their sum.

    Args:
        scores: (N, S, h, w) of any floating dtype, not negative.

    Returns:
        (N, S, h, w) float32, summing to 1 over the slots, or 0 throughout in a cell whose scores
        are all 0.
    """
    positive = scores.float()
    return positive / (positive.sum(dim=1, keepdim=True) + EPSILON)


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


@functools.cache
def _checked_kernel() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the Triton kernel behind its check; needs a GPU's modules, hence imported here."""
    from gsvnet_model.ops.cuda.checked_kernel import CheckedKernel

    return CheckedKernel(mix_reference, _load_kernel, _agree)


def _load_kernel() -> Callable[..., tuple[Tensor, Tensor]]:
    from gsvnet_model.ops.cuda.mix import mix

    return mix


def _agree(got: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    """Return whether weights and logits are alike but for rounding."""
    return all(
        torch.allclose(a, b, rtol=0, atol=1e-4 * float(b.abs().max()))
        for a, b in zip(got, expected, strict=True)
    )
