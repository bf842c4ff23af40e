# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Clips with other classes than those they were labelled in: for what is to carry any.

Classes are merged, and split by colour or by place; logits and labels change alike. A clip can be
played to its end and back, which makes a longer one.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsvnet_lab.training.propagation_clips import ClipBatch
from gsvnet_model.ops.warp import backward_warp
from gsvnet_model.outputs.classes import IGNORE_INDEX

_SHARPNESS = 6.0
"""Of the border between the two halves of a split class, in logits per unit of the field."""
_FEWEST_CLASSES = 2


def class_weights_of(batch: ClipBatch, balance: float) -> Tensor:
    """Return a weight for each class of a batch (K,): frequency ** -balance, mean 1."""
    num_classes = batch.logits.shape[2]
    labels = batch.labels[0].flatten()
    counts = torch.bincount(labels[labels != IGNORE_INDEX], minlength=num_classes).float()
    frequency = counts / counts.sum().clamp(min=1)
    weights = (frequency + 1e-3) ** -balance
    return weights / weights.mean()


def merged_classes(batch: ClipBatch, rng: np.random.Generator) -> ClipBatch:
    """Put the classes into random groups, each of which becomes one class.

    Args:
        batch: of K classes.
        rng: decides about number of groups, 2 to K, and what goes into which.
    """
    num_classes = batch.logits.shape[2]
    num_groups = int(rng.integers(_FEWEST_CLASSES, num_classes + 1))
    # One of each group first, so that none is empty.
    groups = np.concatenate(
        (np.arange(num_groups), rng.integers(num_groups, size=num_classes - num_groups))
    )
    groups = rng.permutation(groups)
    logits = [
        batch.logits[:, :, torch.from_numpy(np.flatnonzero(groups == group))].logsumexp(2)
        for group in range(num_groups)
    ]
    return dataclasses.replace(
        batch, logits=torch.stack(logits, dim=2), labels=_renamed(batch.labels, groups.tolist())
    )


def split_classes(batch: ClipBatch, rng: np.random.Generator) -> ClipBatch:
    """Split about half of the classes in two.

    The halves differ in colour, or by a border that follows what it was drawn on: a labelling
    that the looks of the image tell, and one that only motion tells.

    Args:
        batch: of K classes.
        rng: decides which and how.
    """
    num_classes = batch.logits.shape[2]
    by_colour = rng.random() < 0.5
    field, known = _colour_field(batch, rng) if by_colour else _place_field(batch, rng)
    is_split = rng.random(num_classes) < 0.5
    field = _SHARPNESS * field
    first, second = (F.logsigmoid(sign * field)[:, :, None] for sign in (1, -1))
    split = torch.from_numpy(np.flatnonzero(is_split))
    halves = batch.logits[:, :, split]
    # The second halves are classes of their own, behind the others.
    logits = batch.logits.clone()
    logits[:, :, split] = halves + first
    logits = torch.cat((logits, halves + second), dim=2)
    renamed = np.arange(num_classes)
    renamed[is_split] = num_classes + np.arange(is_split.sum())
    size = batch.labels.shape[-2:]
    is_first = _resized(field, size) > 0
    labels = torch.where(is_first, batch.labels, _renamed(batch.labels, renamed.tolist()))
    unclear = (_resized(known, size) < 0.99) & (labels != IGNORE_INDEX)
    affected = _renamed(batch.labels, is_split.astype(np.int64).tolist()) == 1
    return dataclasses.replace(
        batch, logits=logits, labels=labels.masked_fill(unclear & affected, IGNORE_INDEX)
    )


def there_and_back(batch: ClipBatch, num_frames: int) -> ClipBatch:
    """Play the clips to their end and back, again and again, until they have so many frames.

    The flow on the way back is not known.

    Raises:
        ValueError: if the clips have fewer than two frames.
    """
    last = len(batch.images) - 1
    if last < 1:
        raise ValueError(f"expected clips of at least 2 frames, got {last + 1}")
    order = [last - abs(number % (2 * last) - last) for number in range(num_frames)]
    forwards = [False] + [after > before for before, after in itertools.pairwise(order)]
    known = torch.tensor(forwards, device=batch.valid.device).view(-1, 1, 1, 1)
    return ClipBatch(
        images=batch.images[order],
        logits=batch.logits[order],
        labels=batch.labels[order],
        flow=batch.flow[order],
        valid=batch.valid[order] * known,
    )


def _colour_field(batch: ClipBatch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return how far each cell is towards a random colour (T, N, h, w), and ones."""
    weights = rng.normal(size=3)
    direction = torch.from_numpy(weights / np.linalg.norm(weights)).to(batch.images)
    values = torch.einsum("tnchw,c->tnhw", batch.images, direction)
    values = F.avg_pool2d(values, 3, stride=1, padding=1, count_include_pad=False)
    middle = values[0].flatten(1).median(1).values[None, :, None, None]
    return values - middle, torch.ones_like(values)


def _place_field(batch: ClipBatch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return waves drawn on the first frame and carried by the true flow; see `split_classes`.

    Returns:
        (T, N, h, w) each: the waves, and where they are known, 0..1.
    """
    count, size, _, height, width = batch.flow.shape
    rows = torch.linspace(0, 1, height)[:, None]
    columns = torch.linspace(0, width / height, width)
    waves = []
    for _ in range(size):
        across, down = (float(value) for value in rng.uniform(-6, 6, 2))
        phase = float(rng.uniform(0, 2 * np.pi))
        waves.append((across * columns + down * rows + phase).sin())
    field = torch.stack(waves).to(batch.flow.device)
    known = torch.ones_like(field)
    fields, knowns = [field], [known]
    for frame in range(1, count):
        carried = backward_warp(torch.stack((field, known), dim=1), batch.flow[frame])
        field, known = carried[:, 0], carried[:, 1] * batch.valid[frame]
        fields.append(field)
        knowns.append(known)
    return torch.stack(fields), torch.stack(knowns)


def _renamed(labels: Tensor, names: list[int]) -> Tensor:
    """Return the labels with class k called names[k]; void stays void."""
    table = torch.full((256,), IGNORE_INDEX, dtype=torch.int64, device=labels.device)
    table[: len(names)] = torch.tensor(names, device=labels.device)
    return table[labels]


def _resized(values: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(values, size, mode="bilinear", align_corners=True)
