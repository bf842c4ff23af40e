# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of a keyframe network on labelled stills and rendered street drives."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_lab.training.fingerprint import data_fingerprint, fingerprint
from gsvnet_lab.training.keyframe_batches import Drives, Stills, batches
from gsvnet_lab.training.keyframe_losses import keyframe_loss
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
from gsvnet_lab.training.losses import class_weights
from gsvnet_lab.training.run import Run
from gsvnet_lab.training.trainer import Trainer
from gsvnet_model.hardware.allocator import tune_malloc
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.keyframe.resnet import ResNet18


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
        recipe: the recipe.
        info: info of the weights to train; see `KeyframeRecipe.described`.
        data: CamVid folder.
        output: folder of the run.
        device: device to train on.
        start_from: a trained network of the recipe's kind, or one with the same encoder, of which
            the encoder alone is copied; None starts from scratch.
        teacher: a trained keyframe network of any kind whose probabilities the recipe distils;
            given if and only if the recipe's `distillation` is above 0.
        drive_folder: folder of rendered drives, for runs that share them; None is `output`.

    Returns:
        The averaged weights (state dict, float32, CPU).

    Raises:
        ValueError: if the recipe's network has nothing in common with `start_from`, or there is
            a teacher without distillation or distillation without a teacher, or no training
            pixel is labelled, or the folder holds another run, or a loss is not finite.
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
    trainer = Trainer(
        run,
        network,
        optimiser,
        keyframe_schedule(optimiser, recipe),
        recipe.average_decay,
        recipe.iterations,
        lambda average: {"validation_miou": _validate(recipe, info, average, data, device)},
    )
    stills = Stills(train_split)
    drives = Drives(drive_folder or output, recipe.drive_pool, stills.size)
    weights = class_weights(stills.labels, recipe.num_classes, recipe.class_balance).to(device)
    for _, (images, labels) in zip(
        trainer, batches(recipe, stills, drives, trainer.start), strict=True
    ):
        inputs = info.normalisation.apply(torch.from_numpy(images).to(device).permute(0, 3, 1, 2))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        target = torch.from_numpy(labels).to(device).long()
        trainer.step({"loss": keyframe_loss(network, inputs, target, weights, recipe, teacher)})
    return trainer.finish()


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


def keyframe_schedule(optimiser: torch.optim.Optimizer, recipe: KeyframeRecipe) -> LRScheduler:
    """Return the learning rates: a linear warm-up, then a cosine to 1 % of the highest.

    Args:
        optimiser: optimiser whose learning rate is the highest of the schedule.
        recipe: gives the numbers of iterations.
    """
    rest = max(1, recipe.iterations - recipe.warm_up)
    if not recipe.warm_up:
        return CosineAnnealingLR(optimiser, rest, 0.01 * recipe.learning_rate)
    warm_up = LinearLR(optimiser, 1 / recipe.warm_up, total_iters=recipe.warm_up - 1)
    cosine = CosineAnnealingLR(optimiser, rest, 0.01 * recipe.learning_rate)
    return SequentialLR(optimiser, [warm_up, cosine], [recipe.warm_up])


def load_pretrained(network: nn.Module, trained: nn.Module) -> None:
    """Copy the weights of a trained keyframe network into a fresh one.

    Between networks of one kind all weights are copied; between networks of different kinds that
    have a ResNet-18 encoder (SwiftNet, BiSeNet) the encoder's.

    Raises:
        ValueError: if the two have nothing in common.
    """
    if type(network) is type(trained):
        network.load_state_dict(trained.state_dict())
        return
    target, source = _encoder(network), _encoder(trained)
    if target is None or source is None:
        raise ValueError(
            f"expected weights of {type(network).__name__} or, for a network with a ResNet-18 "
            f"encoder, of another network with one, got {type(trained).__name__}"
        )
    target.load_state_dict(source.state_dict())


def _encoder(network: nn.Module) -> nn.Module | None:
    return next((part for part in network.modules() if isinstance(part, ResNet18)), None)


@torch.inference_mode()
def _validate(
    recipe: KeyframeRecipe,
    info: ModelInfo,
    network: nn.Module,
    data: Path,
    device: torch.device,
) -> float:
    """Return the mIoU of a network, percent, on every tenth frame of the validation clip."""
    network.eval()
    matrix = ConfusionMatrix(recipe.num_classes)
    split = open_split(data, "val", recipe.num_classes)
    for index in range(0, len(split), 10):
        image, truth = split[index]
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(info.keyframe_input(image_tensor(image, device)))
        full = F.interpolate(logits.float(), truth.shape, mode="bilinear", align_corners=True)
        matrix.update(full.argmax(1)[0].to(torch.uint8).cpu().numpy(), truth)
    return matrix.miou()
