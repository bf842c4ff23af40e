# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The loss that a keyframe network is trained to minimise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
from gsvnet_lab.training.losses import divergence, labelled_cross_entropy
from gsvnet_model.outputs.classes import IGNORE_INDEX


def keyframe_loss(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    weights: Tensor,
    recipe: KeyframeRecipe,
    teacher: nn.Module | None,
) -> Tensor:
    """Return the loss of a batch: all heads against the labels, the main one on the teacher too.

    Args:
        network: the network that learns; maps (N, 3, H, W) images to (N, K, h, w) logits.
        images: (N, 3, H, W) float32, normalised.
        labels: (N, H, W) int64 class ids, 255 = void.
        weights: (K,) float32 class weights.
        recipe: gives the weights of the loss's parts.
        teacher: the network whose probabilities the recipe distils; None without distillation.

    Returns:
        A scalar.
    """
    labels = labels[:, :: recipe.loss_stride, :: recipe.loss_stride]
    with torch.autocast(images.device.type, torch.bfloat16):
        # Networks with auxiliary heads are supervised at each of them.
        train_forward = getattr(network, "forward_with_auxiliary", None)
        outputs = [network(images)] if train_forward is None else list(train_forward(images))
    total = torch.zeros((), device=images.device)
    # Where the network names no weight, its auxiliary heads count as the main one (BiSeNet).
    auxiliary_weight = float(getattr(network, "auxiliary_weight", 1.0))
    for index, logits in enumerate(outputs):
        full = _resized(logits, labels)
        loss = labelled_cross_entropy(full, labels, weights)
        if index == 0 and recipe.jaccard:
            loss = loss + recipe.jaccard * soft_jaccard_loss(full, labels)
        if index == 0 and teacher is not None:
            with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16):
                seen = teacher(images)
            loss = loss + recipe.distillation * divergence(full, _resized(seen, labels))
        total = total + (1.0 if index == 0 else auxiliary_weight) * loss
    return total


def _resized(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logits as float32 at the labels' size; cell i of stride s is centred on pixel s*i."""
    return F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=True)


def soft_jaccard_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - the soft IoU, mean over the classes that the batch contains.

    The metric is a mean over classes of IoU over the whole data set; cross entropy alone trades
    rare classes for frequent ones. See: Bertels et al., "Optimizing the Dice Score and Jaccard
    Index for Medical Image Segmentation".

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64 class ids, 255 = void, which counts nowhere.

    Returns:
        A scalar of 0 to 1.
    """
    known = (labels != IGNORE_INDEX).unsqueeze(1)
    probabilities = logits.softmax(1) * known
    truth = F.one_hot(torch.where(known[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * known
    intersection = (probabilities * truth).sum((0, 2, 3))
    size = truth.sum((0, 2, 3))
    union = probabilities.sum((0, 2, 3)) + size - intersection
    present = size > 0
    return 1 - (intersection[present] / union[present]).sum() / present.sum().clamp(min=1)
