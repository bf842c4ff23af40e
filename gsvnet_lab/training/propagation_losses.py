# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The losses that a propagation network is trained to minimise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_lab.training.clip_cache import ClipCache
from gsvnet_lab.training.losses import divergence, labelled_cross_entropy
from gsvnet_lab.training.propagation_clips import ClipBatch
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.networks.propagation.flow import flow_on_grid

_FLOW_SOFTNESS = 0.05
"""Errors of the flow below this many cells count quadratically."""


def flow_losses(
    recipe: PropagationRecipe,
    network: PropagationNetwork,
    clips: ClipCache,
    normalisation: Normalisation,
    rng: np.random.Generator,
    device: torch.device,
) -> dict[str, Tensor]:
    """Return the loss of the flow network alone, on pairs of neighbouring frames.

    Args:
        recipe: gives the number of pairs.
        network: the propagation network, whose flow network learns.
        clips: clips to draw the pairs from.
        normalisation: constants of the network's input images.
        rng: source of the randomness.
        device: device that the network is on.

    Returns:
        A scalar by the name "flow_loss".
    """
    count = recipe.flow_batch_size
    chosen = rng.integers(len(clips), size=count)
    frames = rng.integers(1, clips.images.shape[1], size=count)
    mirrored = torch.from_numpy(rng.random(count) < 0.5).to(device)

    def picked(array: NDArray[np.generic], offset: int = 0) -> Tensor:
        values = [array[index, frame + offset] for index, frame in zip(chosen, frames, strict=True)]
        return torch.from_numpy(np.stack(values)).to(device)

    def mirror(values: Tensor) -> Tensor:
        shape = (-1, *(1,) * (values.ndim - 1))
        return torch.where(mirrored.view(shape), values.flip(-1), values)

    current, previous = (
        mirror(normalisation.apply(picked(clips.images, offset).permute(0, 3, 1, 2))).contiguous(
            memory_format=torch.channels_last
        )
        for offset in (0, -1)
    )
    truth = mirror(picked(clips.flow).float())
    truth[mirrored, 0] *= -1
    valid = mirror(picked(clips.valid).float())
    estimate = flow_on_grid(network.flow(current, previous).float(), *truth.shape[-2:])
    return {"flow_loss": _flow_error(estimate, truth, valid)}


def _flow_error(flow: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return the mean end-point error in cells, softened near zero, where the flow is known."""
    squared = (flow.float() - truth).square().sum(1)
    error = (squared + _FLOW_SOFTNESS**2).sqrt() - _FLOW_SOFTNESS
    return (error * valid).sum() / valid.sum().clamp(min=1)


def clip_losses(
    recipe: PropagationRecipe, network: nn.Module, batch: ClipBatch, class_weights: Tensor
) -> dict[str, Tensor]:
    """Return the parts of the loss, weighted, over one recursion with every step judged.

    Args:
        recipe: gives the weights of the parts.
        network: the propagation network that learns.
        batch: clips; the recursion starts from the keyframe logits of their first frame.
        class_weights: (K,) float32 class weights of the cross entropy.

    Returns:
        Scalars by name.
    """
    state = batch.logits[0]
    steps = len(batch.images) - 1
    parts: dict[str, Tensor] = {}
    for step in range(1, steps + 1):
        output = network(state, batch.images[step], batch.images[step - 1])
        state = output.logits.float()
        labels = batch.labels[step]
        losses = {"segmentation_loss": _segmentation_loss(state, labels, class_weights)}
        if recipe.distillation:
            # The farther a frame is from its keyframe, the more a keyframe there has to teach.
            share = 2 * step / (steps + 1)
            taught = divergence(state, batch.logits[step])
            losses["distillation_loss"] = recipe.distillation * share * taught
        if output.intra_logits is not None and recipe.intra_loss:
            losses["intra_loss"] = recipe.intra_loss * labelled_cross_entropy(
                output.intra_logits.float(), _at_cells(labels, state.shape[-2:]), class_weights
            )
        if recipe.flow_loss:
            losses["flow_loss"] = recipe.flow_loss * _flow_error(
                output.flow, batch.flow[step], batch.valid[step]
            )
        for name, value in losses.items():
            parts[name] = parts.get(name, 0) + value / steps
    return parts


def _segmentation_loss(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    """Return the cross entropy of (N, K, h, w) logits at the size of (N, H, W) labels."""
    full = F.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=True)
    return labelled_cross_entropy(full, labels, class_weights)


def _at_cells(labels: Tensor, grid: torch.Size) -> Tensor:
    """Return (N, H, W) labels at the cells of an align_corners=True grid of h x w: (N, h, w)."""
    rows = torch.linspace(0, labels.shape[1] - 1, grid[0], device=labels.device).round().long()
    columns = torch.linspace(0, labels.shape[2] - 1, grid[1], device=labels.device).round().long()
    return labels[:, rows][:, :, columns]
