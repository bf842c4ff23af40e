# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Accuracy of propagation on clips that it was not trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_lab.training.clip_cache import ClipCache
from gsvnet_lab.training.propagation_clips import load_clips
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.ops.warp import backward_warp


@torch.inference_mode()
def validate(
    network: nn.Module,
    clips: ClipCache,
    normalisation: Normalisation,
    recipe: PropagationRecipe,
    device: torch.device,
) -> dict[str, float]:
    """Return figures of a network on clips that it was not trained on.

    Args:
        network: the propagation network; is put in eval mode.
        clips: the clips to judge on.
        normalisation: constants of the network's input images.
        recipe: gives the number of classes.
        device: device that the network is on.

    Returns:
        mIoU in percent of propagation and of warping alone, pooled over all distances from 1
        on; of the keyframe network on the same stills (first and last frame); and the mean
        end-point error of the flow in cells.
    """
    network.eval()
    num_classes = recipe.network.num_classes
    names = ("keyframe_miou", "propagated_miou", "warped_miou")
    matrices = {name: ConfusionMatrix(num_classes) for name in names}
    errors = []

    def judge(name: str, logits: Tensor, truth: Tensor) -> None:
        full = F.interpolate(logits, truth.shape[-2:], mode="bilinear", align_corners=True)
        labels = full.argmax(1)[0].to(torch.uint8).cpu().numpy()
        matrices[name].update(labels, truth[0].to(torch.uint8).cpu().numpy())

    nothing = np.zeros(1, np.bool_)
    for index in range(len(clips)):
        batch = load_clips(clips, np.array([index]), nothing, nothing, normalisation, device)
        state = warped = batch.logits[0]
        judge("keyframe_miou", batch.logits[0], batch.labels[0])
        judge("keyframe_miou", batch.logits[-1], batch.labels[-1])
        for step in range(1, len(batch.images)):
            output = network(state, batch.images[step], batch.images[step - 1])
            state, warped = output.logits, backward_warp(warped, output.flow)
            judge("propagated_miou", state, batch.labels[step])
            judge("warped_miou", warped, batch.labels[step])
            known = batch.valid[step]
            error = (output.flow - batch.flow[step]).square().sum(1).sqrt()
            errors.append(float((error * known).sum() / known.sum().clamp(min=1)))
    figures = {name: matrix.miou() for name, matrix in matrices.items()}
    return {**figures, "flow_error": float(np.mean(errors))}
