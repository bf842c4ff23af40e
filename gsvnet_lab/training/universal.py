# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of the universal propagation network, which is to carry any classes.

It learns on the clips that a class-specific network learns on, with other classes in every batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gsvnet_lab.training.clip_cache import ClipCache, joined_clips
from gsvnet_lab.training.propagation import (
    propagation_fingerprint,
    propagation_optimiser,
    propagation_schedule,
    start_from_warping,
)
from gsvnet_lab.training.propagation_clips import ClipBatch, draw_clips, render_clips
from gsvnet_lab.training.propagation_losses import clip_losses
from gsvnet_lab.training.propagation_validation import validate
from gsvnet_lab.training.relabelled_clips import (
    class_weights_of,
    merged_classes,
    split_classes,
    there_and_back,
)
from gsvnet_lab.training.run import Run
from gsvnet_lab.training.trainer import Trainer
from gsvnet_lab.training.universal_recipe import UniversalRecipe
from gsvnet_lab.universal.network import UniversalPropagation
from gsvnet_model.hardware.device import AUTO, choose_precision
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation.flow import FlowLight

_MAX_NORM = 5.0


def train_universal(
    recipe: UniversalRecipe,
    keyframe_network: nn.Module,
    info: ModelInfo,
    data: Path,
    output: Path,
    device: torch.device,
    start_from: UniversalPropagation | FlowLight,
    clip_folder: Path | None = None,
) -> dict[str, Tensor]:
    """Train a universal propagation network; continue where an earlier call was cut.

    Args:
        recipe: what to train and how.
        keyframe_network: gives the logits to propagate; stays as it is.
        info: of the keyframe network.
        data: CamVid folder; only its stills for training are used.
        output: folder of the run.
        device: where to train.
        start_from: a trained network of the recipe's kind, or a trained flow network.
        clip_folder: where clips are kept, for runs that share them; None is `output`.

    Returns:
        The averaged weights (state dict, float32, CPU).

    Raises:
        ValueError: if the folder holds another run.
    """
    run = Run(output, propagation_fingerprint(recipe, keyframe_network, info, data, start_from))
    keyframe_network = keyframe_network.to(device).eval()
    described, folder = recipe.described(info), clip_folder or output
    clips, held_out = render_clips(recipe, keyframe_network, described, data, folder, device)
    if recipe.wide_clips:
        wide, _ = render_clips(
            recipe.of_wide_clips, keyframe_network, described, data, folder, device
        )
        clips = joined_clips(clips, wide)
    torch.manual_seed(recipe.seed)
    network = UniversalPropagation(recipe.universal).to(device)
    if isinstance(start_from, UniversalPropagation):
        network.load_state_dict(start_from.state_dict())
    else:
        start_from_warping(network.guide)
        network.flow.load_state_dict(start_from.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = propagation_optimiser(network, recipe)
    trainer = Trainer(
        run,
        network,
        optimiser,
        propagation_schedule(optimiser, recipe),
        recipe.average_decay,
        recipe.total_iterations,
        lambda average: validate(average, held_out, info.normalisation, recipe, device),
    )
    network.train()
    for iteration in trainer:
        rng = np.random.default_rng([recipe.seed, iteration])
        with _autocast(device):
            batch = draw_relabelled(recipe, clips, info.normalisation, rng, device)
            weights = class_weights_of(batch, recipe.class_balance)
            losses = clip_losses(recipe, network, batch, weights)
        trainer.step(losses, _MAX_NORM)
    return trainer.finish()


def draw_relabelled(
    recipe: UniversalRecipe,
    clips: ClipCache,
    normalisation: Normalisation,
    rng: np.random.Generator,
    device: torch.device,
) -> ClipBatch:
    """Return a batch of random clips, some longer, with other classes and other logits."""
    is_longer = rng.random() < recipe.longer
    # As many steps in all.
    share = recipe.distance / recipe.longer_distance if is_longer else 1
    size = max(1, round(recipe.batch_size * share))
    drawn = dataclasses.replace(recipe, batch_size=size)
    batch = draw_clips(drawn, clips, normalisation, rng, device)
    if rng.random() < recipe.split:
        batch = split_classes(batch, rng)
    if rng.random() < recipe.merged:
        batch = merged_classes(batch, rng)
    if is_longer:
        batch = there_and_back(batch, recipe.longer_distance + 1)
    scale = recipe.logit_scale ** rng.uniform(-1, 1)
    return dataclasses.replace(batch, logits=batch.logits * scale)


def _autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return mixed precision where the device computes in it: elsewhere it is far slower."""
    if device.type == "cpu" and choose_precision(AUTO, device) != torch.bfloat16:
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
