# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of the propagation network for a frozen keyframe network.

First the flow network alone learns exact flow; then all of it learns together, on recursions
over whole clips that start from the keyframe network's own logits.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_model.classes import CAMVID, IGNORE_INDEX
from gsvnet_model.data.augment import Augmentation, random_view
from gsvnet_model.data.camvid import open_split
from gsvnet_model.metrics import ConfusionMatrix
from gsvnet_model.motion import (
    MotionRanges,
    MovingFrame,
    SceneRoles,
    collect_cutouts,
    moving_still,
)
from gsvnet_model.preprocessing import GRID_FILTERS, GridFilter, Normalisation
from gsvnet_model.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.propagation.flow import flow_on_grid
from gsvnet_model.propagation.warp import backward_warp
from gsvnet_model.street_drive import StreetDrive, steady
from gsvnet_model.training.run import Run, WeightAverage
from gsvnet_model.training.snippets import GridGeometry, Snippets, render_snippets


@dataclass(frozen=True)
class PropagationRecipe:
    """Everything that decides what a training run of a propagation network gives.

    Attributes:
        network: choices of the propagation network.
        grid_stride: image pixels per cell of the grid; the paper uses 8.
        grid_filter: how images come to the grid.
        input_scale: keyframe input pixels per image pixel.
        still_clips: number of clips made of stills.
        drive_clips: number of clips of rendered street drives.
        held_out_clips: number of clips of held-out stills that validate.
        distance: longest recursion, frames since the keyframe.
        flow_iterations: optimiser steps of the flow network alone.
        flow_batch_size: pairs of frames per such step.
        flow_learning_rate: peak of the cosine schedule of those steps.
        iterations: optimiser steps of the whole.
        batch_size: clips per such step.
        learning_rate: peak of the cosine schedule of those steps.
        flow_factor: learning rate of the flow network in them, relative to the rest.
        weight_decay: AdamW's, on convolution weights.
        distillation: weight of the divergence from the keyframe network's probabilities.
        intra_loss: weight of the intra network's own segmentation loss.
        flow_loss: weight of the flow's error, in cells.
        class_balance: class weights are frequency ** -class_balance, mean 1.
        average_decay: of the weight average that is evaluated and kept.
        seed: of clips, initialisation and sampling.
        motion: ranges of the synthetic motion.

    Raises:
        ValueError: If a field is outside its range.
    """

    network: PropagationConfig = field(default_factory=lambda: PropagationConfig(11))
    grid_stride: int = 8
    grid_filter: GridFilter = "area"
    input_scale: float = 1.0
    still_clips: int = 1000
    drive_clips: int = 200
    held_out_clips: int = 60
    distance: int = 5
    flow_iterations: int = 3000
    flow_batch_size: int = 16
    flow_learning_rate: float = 2e-3
    iterations: int = 2500
    batch_size: int = 8
    learning_rate: float = 2e-3
    flow_factor: float = 0.2
    weight_decay: float = 1e-4
    distillation: float = 0.0
    intra_loss: float = 0.1
    flow_loss: float = 0.1
    class_balance: float = 0.3
    average_decay: float = 0.998
    seed: int = 1
    motion: MotionRanges = field(default_factory=MotionRanges)

    def __post_init__(self) -> None:
        """Check the values."""
        if self.grid_stride not in (4, 8, 16):
            raise ValueError(f"expected a grid stride of 4, 8 or 16, got {self.grid_stride}")
        if self.grid_filter not in GRID_FILTERS:
            raise ValueError(
                f"expected a grid filter out of {GRID_FILTERS}, got {self.grid_filter!r}"
            )
        for name in ("held_out_clips", "distance", "flow_batch_size", "iterations", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("still_clips", "drive_clips", "flow_iterations"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.still_clips + self.drive_clips < 1:
            raise ValueError("expected clips to train on: still_clips or drive_clips above 0")

    @property
    def total_iterations(self) -> int:
        """Optimiser steps of both phases."""
        return self.flow_iterations + self.iterations

    def learning_rate_at(self, iteration: int) -> float:
        """Return the learning rate: in each phase a short warm-up, then a cosine to 1 %."""
        if iteration < self.flow_iterations:
            peak, step, count = self.flow_learning_rate, iteration, self.flow_iterations
        else:
            peak, step, count = (
                self.learning_rate,
                iteration - self.flow_iterations,
                self.iterations,
            )
        warm_up = min(1.0, (step + 1) / _WARM_UP)
        return peak * warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / count)))


_WARM_UP = 50
_SAVE_EVERY = 100
_VALIDATE_EVERY = 500
_FIRST_DRIVE = 5000
"""Seed of the first street drive: none that the keyframe network was trained on."""
_CLIPS_PER_DRIVE = 2
_DRIVE_RATES_HZ = (15.0, 7.5)
_DRIVE_SPEED_M_S = (2.0, 10.0)
_DRIVE_LENGTH_S = 30.0
_REVERSED = 0.2
"""Share of the clips that are played backwards."""
_FLOW_SOFTNESS = 0.05
"""Errors of the flow below this many cells count quadratically."""


def train_propagation(
    recipe: PropagationRecipe,
    keyframe_network: nn.Module,
    normalisation: Normalisation,
    data: Path,
    output: Path,
    device: torch.device,
) -> dict[str, Tensor]:
    """Train a propagation network; continue where an earlier call on the folder was cut.

    Args:
        recipe: what to train and how.
        keyframe_network: gives the logits to propagate; stays as it is.
        normalisation: of both networks' inputs.
        data: CamVid folder; only its stills for training are used.
        output: folder of the run.
        device: where to train.

    Returns:
        The averaged weights of the propagation network (state dict, float32, CPU).

    See: paper Sec. 4.1 (training).
    """
    run = Run(output)
    keyframe_network = keyframe_network.to(device).eval()
    clips, held_out = _render(recipe, keyframe_network, normalisation, data, output, device)
    torch.manual_seed(recipe.seed)
    network = PropagationNetwork(recipe.network).to(device)
    _start_from_warping(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = WeightAverage(network, recipe.average_decay)
    optimiser = _optimiser(network, recipe)
    checkpoint = run.load()
    start = 0
    if checkpoint is not None:
        network.load_state_dict(checkpoint["network"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        average.state = checkpoint["average"]
        average.updates = start = int(checkpoint["iteration"])
    class_weights = _class_weights(clips, recipe).to(device)
    began, last = time.monotonic(), start
    losses: dict[str, list[float]] = {}
    progress = tqdm(
        range(start, recipe.total_iterations), initial=start, total=recipe.total_iterations
    )
    for iteration in progress:
        flow_only = iteration < recipe.flow_iterations
        _set_learning_rates(optimiser, recipe, iteration)
        network.train()
        rng = np.random.default_rng([recipe.seed, iteration])
        with torch.autocast(device.type, torch.bfloat16):
            if flow_only:
                parts = _flow_losses(recipe, network, clips, normalisation, rng, device)
            else:
                batch = _clip_batch(recipe, clips, normalisation, rng, device)
                parts = _clip_losses(recipe, network, batch, class_weights)
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update(network)
        for name, value in parts.items():
            losses.setdefault(name, []).append(float(value.detach()))
        done = iteration + 1
        if done % _SAVE_EVERY == 0 or done in (recipe.flow_iterations, recipe.total_iterations):
            seconds = (time.monotonic() - began) / (done - last)
            figures = {name: float(np.mean(values)) for name, values in losses.items()}
            figures["seconds_per_iteration"] = seconds
            losses.clear()
            if done % _VALIDATE_EVERY == 0 or done == recipe.total_iterations:
                followed = PropagationNetwork(recipe.network).to(device)
                followed.load_state_dict(average.state)
                figures |= validate(followed, held_out, normalisation, recipe, device)
            run.log(iteration=done, **figures)
            progress.set_postfix({key: f"{value:.3f}" for key, value in figures.items()})
            run.save(
                {
                    "iteration": done,
                    "network": network.state_dict(),
                    "average": average.state,
                    "optimiser": optimiser.state_dict(),
                }
            )
            began, last = time.monotonic(), done
    run.plot()
    return {name: value.cpu() for name, value in average.state.items()}


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


def _render(
    recipe: PropagationRecipe,
    keyframe_network: nn.Module,
    normalisation: Normalisation,
    data: Path,
    output: Path,
    device: torch.device,
) -> tuple[Snippets, Snippets]:
    """Return the clips to train on and those of stills held out of them."""
    split = open_split(data, "train")
    # Runs of three neighbours, so that most held-out views differ from those trained on.
    held_out = [index for index in range(len(split)) if index % 37 < 3]
    stills = [split[index] for index in range(len(split)) if index not in held_out]
    held_out_stills = [split[index] for index in held_out]
    height, width = stills[0][1].shape
    roles = SceneRoles.of(CAMVID)
    library = collect_cutouts(stills, roles)
    augmentation = Augmentation(scale=(1.0, 1.0), rotation_deg=0.0)
    num_frames = recipe.distance + 1

    def still(
        chosen: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], seed: int, index: int
    ) -> tuple[MovingFrame, ...]:
        rng = np.random.default_rng([recipe.seed, seed, index])
        image, labels = random_view(
            *chosen[index % len(chosen)], (height, width), augmentation, rng
        )
        return moving_still(image, labels, num_frames, roles, recipe.motion, library, rng)

    def clip(index: int) -> tuple[MovingFrame, ...]:
        if index < recipe.still_clips:
            return still(stills, 0, index)
        return _drive_clip(index - recipe.still_clips, num_frames, height, width, recipe.seed)

    geometry = GridGeometry(recipe.grid_stride, recipe.grid_filter, recipe.input_scale)
    identity = repr((recipe.seed, recipe.still_clips, recipe.distance, recipe.motion))
    common = (keyframe_network, normalisation, geometry)
    return (
        render_snippets(
            output, clip, recipe.still_clips + recipe.drive_clips, *common, identity, device
        ),
        render_snippets(
            output,
            lambda index: still(held_out_stills, 1, index),
            recipe.held_out_clips,
            *common,
            identity + " held out",
            device,
        ),
    )


def _drive_clip(
    index: int, num_frames: int, height: int, width: int, seed: int
) -> tuple[MovingFrame, ...]:
    """Return consecutive frames of a street drive: a new street for every few clips."""
    rng = np.random.default_rng([seed, 2, index])
    travel = steady(float(rng.uniform(*_DRIVE_SPEED_M_S)))
    rate_hz = float(rng.choice(_DRIVE_RATES_HZ))
    street = StreetDrive(_FIRST_DRIVE + index // _CLIPS_PER_DRIVE, height, width, rate_hz, travel)
    first = 1 + int(rng.uniform(0, _DRIVE_LENGTH_S) * rate_hz)
    frames = [street.frame(first + number) for number in range(num_frames)]
    return tuple(
        MovingFrame(frame.image, frame.labels, frame.flow, frame.valid) for frame in frames
    )


def _class_weights(clips: Snippets, recipe: PropagationRecipe) -> Tensor:
    num_classes = recipe.network.num_classes
    counts = np.zeros(256, np.int64)
    for labels in clips.labels[:: max(1, len(clips) // 200), 0]:
        counts += np.bincount(labels.ravel(), minlength=256)
    frequency = counts[:num_classes] / counts[:num_classes].sum()
    weights = np.maximum(frequency, 1e-5) ** -recipe.class_balance
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


@dataclass(frozen=True)
class _Batch:
    """Clips in order of the recursion; tensors have the frames first, then the clips.

    Attributes:
        images: (T, N, 3, h, w) normalised.
        logits: (2, N, K, h, w) of the keyframe network on the first and the last frame.
        labels: (T, N, 2 * h, 2 * w) int64.
        flow: (T, N, 2, h, w), cells.
        valid: (T, N, h, w) float32, 1 where the flow is known.
    """

    images: Tensor
    logits: Tensor
    labels: Tensor
    flow: Tensor
    valid: Tensor


def _clip_batch(
    recipe: PropagationRecipe,
    clips: Snippets,
    normalisation: Normalisation,
    rng: np.random.Generator,
    device: torch.device,
) -> _Batch:
    chosen = np.sort(
        rng.choice(len(clips), recipe.batch_size, replace=len(clips) < recipe.batch_size)
    )
    mirrored = rng.random(len(chosen)) < 0.5
    backwards = rng.random(len(chosen)) < _REVERSED
    return _load(clips, chosen, mirrored, backwards, normalisation, device)


def _load(
    clips: Snippets,
    chosen: NDArray[np.intp],
    mirrored: NDArray[np.bool_],
    backwards: NDArray[np.bool_],
    normalisation: Normalisation,
    device: torch.device,
) -> _Batch:
    """Read clips, some of them mirrored left to right or played backwards."""

    def stacked(array: NDArray[np.generic], column_axis: int) -> Tensor:
        values = []
        for index, mirror, backward in zip(chosen, mirrored, backwards, strict=True):
            value = array[index]
            value = value[::-1] if backward else value
            values.append(np.flip(value, column_axis) if mirror else value)
        return torch.from_numpy(np.stack(values, axis=1)).to(device)

    images = stacked(clips.images, 2).permute(0, 1, 4, 2, 3)
    flow = stacked(clips.flow, 3).float()
    flow[:, torch.from_numpy(mirrored).to(device), 0] *= -1
    valid = stacked(clips.valid, 2).float()
    # The flow of a clip played backwards is not known: it leads the other way.
    valid[:, torch.from_numpy(backwards).to(device)] = 0
    count, size = images.shape[0], images.shape[1]
    normalised = normalisation.apply(images.flatten(0, 1))
    normalised = normalised.contiguous(memory_format=torch.channels_last)
    return _Batch(
        normalised.view(count, size, *normalised.shape[1:]),
        stacked(clips.logits, 3).float(),
        stacked(clips.labels, 2).long(),
        flow,
        valid,
    )


def _flow_losses(
    recipe: PropagationRecipe,
    network: PropagationNetwork,
    clips: Snippets,
    normalisation: Normalisation,
    rng: np.random.Generator,
    device: torch.device,
) -> dict[str, Tensor]:
    """Return the loss of the flow network alone, on pairs of neighbouring frames."""
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


def _clip_losses(
    recipe: PropagationRecipe, network: PropagationNetwork, batch: _Batch, class_weights: Tensor
) -> dict[str, Tensor]:
    """Return the parts of the loss, weighted, over one recursion with every step judged."""
    state = batch.logits[0]
    steps = len(batch.images) - 1
    zero = torch.zeros((), device=state.device)
    parts = {"segmentation_loss": zero}
    if recipe.network.use_intra and recipe.intra_loss:
        parts["intra_loss"] = zero
    if recipe.flow_loss:
        parts["flow_loss"] = zero
    for step in range(1, steps + 1):
        output = network(state, batch.images[step], batch.images[step - 1])
        state = output.logits.float()
        labels = batch.labels[step]
        add = {"segmentation_loss": _segmentation_loss(state, labels, class_weights)}
        if "distillation_loss" in parts:
            add["distillation_loss"] = (
                recipe.distillation
                * F.kl_div(state.log_softmax(1), batch.logits[step].softmax(1), reduction="none")
                .sum(1)
                .mean()
            )
        if "intra_loss" in parts:
            add["intra_loss"] = recipe.intra_loss * F.cross_entropy(
                output.intra_logits.float(),
                _at_cells(labels, state.shape[-2:]),
                class_weights,
                ignore_index=IGNORE_INDEX,
            )
        if "flow_loss" in parts:
            add["flow_loss"] = recipe.flow_loss * _flow_error(
                output.flow, batch.flow[step], batch.valid[step]
            )
        for name, value in add.items():
            parts[name] = parts[name] + value / steps
    if recipe.distillation:
        divergence = F.kl_div(state.log_softmax(1), batch.logits[1].softmax(1), reduction="none")
        parts["distillation_loss"] = recipe.distillation * divergence.sum(1).mean()
    return parts


def _segmentation_loss(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    full = F.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=True)
    return F.cross_entropy(full, labels, class_weights, ignore_index=IGNORE_INDEX)


def _at_cells(labels: Tensor, grid: torch.Size) -> Tensor:
    """Return the labels (N, H, W) at the cells of an align_corners grid."""
    rows = torch.linspace(0, labels.shape[1] - 1, grid[0], device=labels.device).round().long()
    columns = torch.linspace(0, labels.shape[2] - 1, grid[1], device=labels.device).round().long()
    return labels[:, rows][:, :, columns]


@torch.inference_mode()
def validate(
    network: PropagationNetwork,
    clips: Snippets,
    normalisation: Normalisation,
    recipe: PropagationRecipe,
    device: torch.device,
) -> dict[str, float]:
    """Return figures of a network on clips that it was not trained on.

    Args:
        network: the network; is put in eval mode.
        clips: the clips.
        normalisation: of the images.
        recipe: says the number of classes.
        device: where to run.

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
        batch = _load(clips, np.array([index]), nothing, nothing, normalisation, device)
        state = warped = batch.logits[0]
        judge("keyframe_miou", batch.logits[0], batch.labels[0])
        judge("keyframe_miou", batch.logits[1], batch.labels[-1])
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
