# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of a keyframe network on labelled stills and rendered street drives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_lab.training.class_weights import class_weights
from gsvnet_lab.training.fingerprint import data_fingerprint, fingerprint
from gsvnet_lab.training.keyframe_batches import Drives, Stills, batches
from gsvnet_lab.training.keyframe_losses import keyframe_loss
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
from gsvnet_lab.training.pretrained import load_pretrained
from gsvnet_lab.training.run import Run
from gsvnet_lab.training.trainer import Trainer
from gsvnet_model.hardware.allocator import tune_malloc
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network


def train_keyframe(
    recipe: KeyframeRecipe,
    info: ModelInfo,
    data: Path,
    output: Path,
    device: torch.device,
    start_from: nn.Module | None = None,
    teacher: nn.Module | None = None,
    drive_folder: Path | None = None,
) -> dict[str, Tensor]:
    """Train a keyframe network; continue where an earlier call on the folder was cut.

    Args:
        recipe: what to train and how.
        info: how images come to the network; see `KeyframeRecipe.described`.
        data: CamVid folder.
        output: folder of the run.
        device: where to train.
        start_from: a trained network of the recipe's kind, or one with the same encoder, which is
            then taken over alone; None starts from scratch.
        teacher: a trained keyframe network of any kind whose probabilities the recipe distils;
            given if and only if its `distillation` is above 0.
        drive_folder: where rendered drives are kept, for runs that share them; None is `output`.

    Returns:
        The averaged weights (state dict, float32, CPU).

    Raises:
        ValueError: if the recipe's network has nothing in common with `start_from`, or there is
            a teacher without distillation or distillation without a teacher, or the folder holds
            another run.
    """
    if (teacher is not None) != (recipe.distillation > 0):
        raise ValueError(
            f"expected a teacher exactly where the recipe distils, got distillation "
            f"{recipe.distillation} and {'no' if teacher is None else 'a'} teacher"
        )
    train_split = open_split(data, "train", recipe.num_classes)
    run = Run(output, fingerprint(recipe, start_from, teacher, data_fingerprint(train_split)))
    torch.manual_seed(recipe.seed)
    if device.type == "cpu":
        tune_malloc()
    network = build_keyframe_network(recipe.network, recipe.num_classes).to(device)
    if start_from is not None:
        load_pretrained(network, start_from)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if teacher is not None:
        teacher = teacher.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    optimiser = _optimiser(network, recipe)
    learner = Trainer(
        run,
        network,
        optimiser,
        recipe.average_decay,
        recipe.iterations,
        lambda average: {"validation_miou": _validate(recipe, info, average, data, device)},
    )
    stills = Stills(train_split)
    drives = Drives(drive_folder or output, recipe.drive_pool, stills.size)
    weights = class_weights(stills.labels, recipe.num_classes, recipe.class_balance).to(device)
    for iteration, (images, labels) in zip(
        learner, batches(recipe, stills, drives, learner.start), strict=True
    ):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate_at(iteration)
        inputs = info.normalisation.apply(torch.from_numpy(images).to(device).permute(0, 3, 1, 2))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        target = torch.from_numpy(labels).to(device).long()
        learner.step({"loss": keyframe_loss(network, inputs, target, weights, recipe, teacher)})
    return learner.finish()


def _optimiser(network: nn.Module, recipe: KeyframeRecipe) -> torch.optim.Optimizer:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        fused=True,
    )


@torch.inference_mode()
def _validate(
    recipe: KeyframeRecipe,
    info: ModelInfo,
    average: Mapping[str, Tensor],
    data: Path,
    device: torch.device,
) -> float:
    """Return the mIoU of the averaged weights on every tenth frame of the validation clip."""
    network = build_keyframe_network(recipe.network, recipe.num_classes)
    network.load_state_dict(average)
    network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    matrix = ConfusionMatrix(recipe.num_classes)
    split = open_split(data, "val", recipe.num_classes)
    for index in range(0, len(split), 10):
        image, truth = split[index]
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(info.keyframe_input(image_tensor(image, device)))
        full = F.interpolate(logits.float(), truth.shape, mode="bilinear", align_corners=True)
        matrix.update(full.argmax(1)[0].to(torch.uint8).cpu().numpy(), truth)
    return matrix.miou()
