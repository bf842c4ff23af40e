# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of the propagation network for a frozen keyframe network.

First the flow network alone learns exact flow; then all of it learns together, on recursions
over whole clips that start from the keyframe network's own logits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.training.fingerprint import data_fingerprint, fingerprint
from gsvnet_lab.training.losses import class_weights
from gsvnet_lab.training.propagation_clips import draw_clips, render_clips
from gsvnet_lab.training.propagation_losses import clip_losses, flow_losses
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.propagation_validation import validate
from gsvnet_lab.training.run import Run
from gsvnet_lab.training.trainer import Trainer
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.networks.propagation.flow import FlowLight
from gsvnet_model.networks.propagation.guide import GuideNetwork

_MAX_NORM = 5.0
"""Longest gradient; a recursion over frames that were tracked badly can blow it up."""

_WARM_UP = 50
"""Iterations at the start of each phase over which the learning rate rises."""


def train_propagation(
    recipe: PropagationRecipe,
    keyframe_network: nn.Module,
    info: ModelInfo,
    data: Path,
    output: Path,
    device: torch.device,
    start_from: PropagationNetwork | FlowLight | None = None,
    clip_folder: Path | None = None,
) -> dict[str, Tensor]:
    """Train a propagation network; continue where an earlier call on the folder was cut.

    Args:
        recipe: the recipe.
        keyframe_network: gives the logits to propagate; stays as it is.
        info: info of the keyframe network's weights.
        data: CamVid folder; only its stills for training are used.
        output: folder of the run.
        device: device to train on.
        start_from: a trained network of the recipe's kind, or a trained flow network, which
            replaces the flow network alone; None starts from scratch.
        clip_folder: folder of rendered clips, for runs that share them; None is `output`.

    Returns:
        The averaged weights of the propagation network (state dict, float32, CPU).

    Raises:
        ValueError: if the folder holds another run, the data have too few images, no training
            pixel is labelled, or a loss is not finite.

    See: paper Sec. 4.1 (training).
    """
    # Before clips are rendered, lest it be in vain.
    run = Run(output, propagation_fingerprint(recipe, keyframe_network, info, data, start_from))
    keyframe_network = keyframe_network.to(device).eval()
    clips, held_out = render_clips(
        recipe, keyframe_network, recipe.described(info), data, clip_folder or output, device
    )
    normalisation = info.normalisation
    torch.manual_seed(recipe.seed)
    network = PropagationNetwork(recipe.network).to(device)
    if isinstance(start_from, PropagationNetwork):
        network.load_state_dict(start_from.state_dict())
    else:
        start_from_warping(network.guide)
        if start_from is not None:
            network.flow.load_state_dict(start_from.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = propagation_optimiser(network, recipe)
    weights = class_weights(
        clips.labels[:: max(1, len(clips) // 200), 0],
        recipe.network.num_classes,
        recipe.class_balance,
    ).to(device)

    trainer = Trainer(
        run,
        network,
        optimiser,
        propagation_schedule(optimiser, recipe),
        recipe.average_decay,
        recipe.total_iterations,
        lambda average: validate(average, held_out, normalisation, recipe, device),
    )
    network.train()
    for iteration in trainer:
        rng = np.random.default_rng([recipe.seed, iteration])
        with torch.autocast(device.type, torch.bfloat16):
            if iteration < recipe.flow_iterations:
                losses = flow_losses(recipe, network, clips, normalisation, rng, device)
            else:
                batch = draw_clips(recipe, clips, normalisation, rng, device)
                losses = clip_losses(recipe, network, batch, weights)
        trainer.step(losses, _MAX_NORM)
    return trainer.finish()


def propagation_fingerprint(
    recipe: PropagationRecipe,
    keyframe_network: nn.Module,
    info: ModelInfo,
    data: Path,
    start: nn.Module | None,
) -> str:
    """Return the text that tells this training from others; see `train_propagation`."""
    inputs = (info.normalisation, info.input_scale, info.max_input_pixels, info.input_stride)
    stills = data_fingerprint(open_split(data, "train", info.classes.num_classes))
    return fingerprint(recipe, inputs, info.logit_adjustment, stills, keyframe_network, start)


def start_from_warping(guide: GuideNetwork) -> None:
    """Let the guiding network begin with the identity slot: blurred states teach nothing."""
    norm = guide.head.norm
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.bias.fill_(-1.0)
        norm.bias[0] = 3.0


def propagation_optimiser(network: nn.Module, recipe: PropagationRecipe) -> torch.optim.Optimizer:
    """Return an optimiser whose groups tell the flow network's parameters from the others."""
    groups = []
    for is_flow in (True, False):
        for is_weight in (True, False):
            parameters = [
                parameter
                for name, parameter in network.named_parameters()
                if parameter.requires_grad
                and name.startswith("flow.") == is_flow
                and (parameter.ndim > 1) == is_weight
            ]
            groups.append(
                {
                    "params": parameters,
                    "weight_decay": recipe.weight_decay if is_weight else 0.0,
                    "is_flow": is_flow,
                }
            )
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=1.0)


def propagation_schedule(
    optimiser: torch.optim.Optimizer, recipe: PropagationRecipe
) -> LRScheduler:
    """Return the learning rates: in each phase a cosine to 1 % of its highest, with a warm-up.

    In the second phase the flow network learns more slowly than the rest.

    Args:
        optimiser: optimiser of learning rate 1, whose groups say whether they are the flow's.
        recipe: gives rates and numbers of iterations.
    """
    # No ready-made cosine: its lowest rate is one for all groups, and here they differ.
    rates: list[Callable[[int], float]] = [
        functools.partial(_learning_rate, recipe, group["is_flow"])
        for group in optimiser.param_groups
    ]
    return LambdaLR(optimiser, rates)


def _learning_rate(recipe: PropagationRecipe, is_flow: bool, iteration: int) -> float:
    """Return the learning rate of an iteration, 0 being the first of the flow phase."""
    step, count, highest = iteration, recipe.flow_iterations, recipe.flow_learning_rate
    if iteration >= recipe.flow_iterations:
        step, count = iteration - recipe.flow_iterations, recipe.iterations
        highest = recipe.learning_rate
    warm_up = min(1.0, (step + 1) / _WARM_UP)
    rate = highest * warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / count)))
    return rate * recipe.flow_factor if is_flow and iteration >= recipe.flow_iterations else rate
