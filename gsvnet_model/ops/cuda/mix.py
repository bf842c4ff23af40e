# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Mixing on a GPU in one kernel; the CUDA backend of `gsvnet_model.ops.mix`.

Imported where a GPU is used only: Triton comes with PyTorch's builds for CUDA.
"""

# Triton reads the annotations of a kernel, and knows its own alone.
# ruff: noqa: ANN001, ANN202

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsvnet_model.ops.mix import EPSILON

_VALUES = 1024
"""Logits that a program mixes at once."""


def mix(
    padded: Tensor, intra_cues: Tensor | None, scores: Tensor, kernels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mixing weights and the new logits, without a map in memory between.

    Args:
        padded: warped logits (N, K, h + size - 1, w + size - 1) float32, contiguous.
        intra_cues: (N, K or more, h, w) of any floating dtype and strides, the intra logits
            first; None if there is no such slot.
        scores: (N, S, h, w) of any floating dtype and strides, not negative.
        kernels: (D, size, size) float32, contiguous.

    Returns:
        (N, S, h, w) and (N, K, h, w), float32.
    """
    batch, slots, height, width = scores.shape
    classes = padded.shape[1]
    mixing = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
    mixed = mixing.new_empty((batch, classes, height, width))
    class_block = triton.next_power_of_2(classes)
    block = max(16, _VALUES // class_block)
    intra = scores if intra_cues is None else intra_cues
    with torch.cuda.device_of(scores):  # type: ignore[no-untyped-call]
        _mix_row[(batch * height, triton.cdiv(width, block))](
            padded,
            intra,
            scores,
            kernels,
            mixing,
            mixed,
            classes,
            height,
            width,
            EPSILON,
            *scores.stride(),
            *intra.stride(),
            slots,
            kernels.shape[1],
            intra_cues is not None,
            class_block,
            block,
        )
    return mixing, mixed


@triton.jit  # type: ignore[untyped-decorator]
def _mix_row(  # type: ignore[no-untyped-def]
    padded,
    intra,
    scores,
    bank,
    mixing,
    mixed,
    classes,
    height,
    width,
    epsilon,
    score_item,
    score_slot,
    score_row,
    score_column,
    intra_item,
    intra_class,
    intra_row,
    intra_column,
    slots: tl.constexpr,
    side: tl.constexpr,
    has_intra: tl.constexpr,
    class_block: tl.constexpr,
    block: tl.constexpr,
):
    item = tl.program_id(0) // height
    y = tl.program_id(0) % height
    x = tl.program_id(1) * block + tl.arange(0, block)
    inside = x < width
    at = scores + item * score_item + y * score_row + x * score_column
    total = tl.zeros((block,), tl.float32) + epsilon
    for slot in tl.static_range(slots):
        total += tl.load(at + slot * score_slot, inside, 0.0).to(tl.float32)
    weights = mixing + item * slots * height * width + y * width + x
    for slot in tl.static_range(slots):
        weight = tl.load(at + slot * score_slot, inside, 0.0).to(tl.float32) / total
        tl.store(weights + slot * height * width, weight, inside)
    index = tl.arange(0, class_block)[:, None]
    both = (index < classes) & inside[None, :]
    padded_width = width + side - 1
    padded_size = (height + side - 1) * padded_width
    corner = padded + (item * classes + index) * padded_size + y * padded_width + x[None, :]
    own = tl.load(at, inside, 0.0).to(tl.float32) / total
    centre = side // 2 * (padded_width + 1)
    result = own[None, :] * tl.load(corner + centre, both, 0.0)
    for tap in tl.static_range(side * side):
        weight = tl.zeros((block,), tl.float32)
        for kernel in tl.static_range(slots - 1 - has_intra):
            score = tl.load(at + (1 + kernel) * score_slot, inside, 0.0).to(tl.float32)
            weight += tl.load(bank + kernel * side * side + tap) * score
        shifted = corner + tap // side * padded_width + tap % side
        result += (weight / total)[None, :] * tl.load(shifted, both, 0.0)
    if has_intra:
        weight = tl.load(at + (slots - 1) * score_slot, inside, 0.0).to(tl.float32) / total
        crude = intra + item * intra_item + index * intra_class + y * intra_row
        crude_logits = tl.load(crude + x[None, :] * intra_column, both, 0.0).to(tl.float32)
        result += weight[None, :] * crude_logits
    out = mixed + (item * classes + index) * height * width + y * width + x[None, :]
    tl.store(out, result, both)
