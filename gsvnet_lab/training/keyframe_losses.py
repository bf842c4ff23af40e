# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a keyframe network is trained to make small."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_lab.training.distillation import divergence
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
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
        network: what learns; (N, 3, H, W) to (N, K, h, w) logits.
        images: (N, 3, H, W), normalised.
        labels: (N, H, W) int64, 255 = void.
        weights: (K,) of the classes.
        recipe: says what counts how much.
        teacher: what the recipe distils, if it does.
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
        # align_corners=True: cell i of a stride-s map is centred on pixel s*i.
        full = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=True)
        loss = F.cross_entropy(full, labels, weights, ignore_index=IGNORE_INDEX)
        if index == 0 and recipe.jaccard:
            loss = loss + recipe.jaccard * soft_jaccard_loss(full, labels)
        if index == 0 and teacher is not None:
            with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16):
                seen = teacher(images)
            seen = F.interpolate(
                seen.float(), labels.shape[-2:], mode="bilinear", align_corners=True
            )
            loss = loss + recipe.distillation * divergence(full, seen)
        total = total + (1.0 if index == 0 else auxiliary_weight) * loss
    return total


def soft_jaccard_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - the soft IoU, mean over the classes that the batch contains.

    The metric is a mean over classes of IoU over the whole data set; cross entropy alone trades
    rare classes for frequent ones. See: Bertels et al., "Optimizing the Dice Score and Jaccard
    Index for Medical Image Segmentation".

    Args:
        logits: (N, K, H, W) float32.
        labels: (N, H, W) int64 class ids, 255 = void, which counts nowhere.
    """
    known = (labels != IGNORE_INDEX).unsqueeze(1)
    probabilities = logits.softmax(1) * known
    truth = F.one_hot(torch.where(known[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * known
    intersection = (probabilities * truth).sum((0, 2, 3))
    size = truth.sum((0, 2, 3))
    union = probabilities.sum((0, 2, 3)) + size - intersection
    present = size > 0
    return 1 - (intersection[present] / union[present]).sum() / present.sum().clamp(min=1)
