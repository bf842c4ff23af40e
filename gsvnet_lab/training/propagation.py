# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of the propagation network for a frozen keyframe network.

First the flow network alone learns exact flow; then all of it learns together, on recursions
over whole clips that start from the keyframe network's own logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.training.class_weights import class_weights
from gsvnet_lab.training.fingerprint import data_fingerprint, fingerprint
from gsvnet_lab.training.propagation_clips import draw_clips, render_clips
from gsvnet_lab.training.propagation_losses import clip_losses, flow_losses
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.propagation_validation import validate
from gsvnet_lab.training.run import Run
from gsvnet_lab.training.trainer import Trainer
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.networks.propagation.flow import FlowLight

_MAX_NORM = 5.0
"""Of the gradient; a recursion over frames that were tracked badly can blow it up."""


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
        recipe: what to train and how.
        keyframe_network: gives the logits to propagate; stays as it is.
        info: of the keyframe network.
        data: CamVid folder; only its stills for training are used.
        output: folder of the run.
        device: where to train.
        start_from: a trained network of the recipe's kind, or a flow network, which then is taken
            over alone; None starts from scratch.
        clip_folder: where clips are kept, for runs that share them; None is `output`.

    Returns:
        The averaged weights of the propagation network (state dict, float32, CPU).

    Raises:
        ValueError: if the folder holds another run.

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
        _start_from_warping(network)
        if start_from is not None:
            network.flow.load_state_dict(start_from.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = _optimiser(network, recipe)
    weights = class_weights(
        clips.labels[:: max(1, len(clips) // 200), 0],
        recipe.network.num_classes,
        recipe.class_balance,
    ).to(device)

    def validated(average: Mapping[str, Tensor]) -> dict[str, float]:
        followed = PropagationNetwork(recipe.network).to(device)
        followed.load_state_dict(average)
        return validate(followed, held_out, normalisation, recipe, device)

    learner = Trainer(
        run,
        network,
        optimiser,
        recipe.average_decay,
        recipe.total_iterations,
        validated,
    )
    for iteration in learner:
        _set_learning_rates(optimiser, recipe, iteration)
        network.train()
        rng = np.random.default_rng([recipe.seed, iteration])
        with torch.autocast(device.type, torch.bfloat16):
            if iteration < recipe.flow_iterations:
                losses = flow_losses(recipe, network, clips, normalisation, rng, device)
            else:
                batch = draw_clips(recipe, clips, normalisation, rng, device)
                losses = clip_losses(recipe, network, batch, weights)
        learner.step(losses, _MAX_NORM)
    return learner.finish()


def propagation_fingerprint(
    recipe: PropagationRecipe,
    keyframe_network: nn.Module,
    info: ModelInfo,
    data: Path,
    start: nn.Module | None,
) -> str:
    """Return what tells this training from others."""
    inputs = (info.normalisation, info.input_scale, info.max_input_pixels, info.input_stride)
    stills = data_fingerprint(open_split(data, "train", info.classes.num_classes))
    return fingerprint(recipe, inputs, info.logit_adjustment, stills, keyframe_network, start)


def _start_from_warping(network: PropagationNetwork) -> None:
    """Let the guiding network begin with the identity slot: blurred states teach nothing."""
    norm = network.guide.head.norm
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.bias.fill_(-1.0)
        norm.bias[0] = 3.0


def _optimiser(network: PropagationNetwork, recipe: PropagationRecipe) -> torch.optim.Optimizer:
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
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)


def _set_learning_rates(
    optimiser: torch.optim.Optimizer, recipe: PropagationRecipe, iteration: int
) -> None:
    rate = recipe.learning_rate_at(iteration)
    for group in optimiser.param_groups:
        slowed = group["is_flow"] and iteration >= recipe.flow_iterations
        group["lr"] = rate * recipe.flow_factor if slowed else rate
