# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of a keyframe network on labelled stills and rendered street drives."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_model.classes import IGNORE_INDEX
from gsvnet_model.data.augment import Augmentation, paste_classes, random_view
from gsvnet_model.data.camvid import open_split
from gsvnet_model.data.drive_pool import load_drive_pool
from gsvnet_model.freed_memory import keep_freed_memory
from gsvnet_model.keyframe import build_keyframe_network
from gsvnet_model.metrics import ConfusionMatrix
from gsvnet_model.preprocessing import Normalisation
from gsvnet_model.training.class_weights import class_weights
from gsvnet_model.training.learning_rate import cosine_decay
from gsvnet_model.training.run import Run, WeightAverage
from gsvnet_model.training.start import take_over


@dataclass(frozen=True)
class Phase:
    """A part of the schedule with its own crop and mix.

    Attributes:
        share: share of all iterations.
        crop: (height, width) of the training crop, multiples of 32.
        drive_images: how many images of a batch are rendered street drives.
    """

    share: float
    crop: tuple[int, int]
    drive_images: int


@dataclass(frozen=True)
class KeyframeRecipe:
    """Everything that decides what a training run of a keyframe network gives.

    Attributes:
        network: name in the registry of keyframe networks.
        num_classes: number of classes K.
        iterations: optimiser steps.
        batch_size: images per step.
        drive_pool: number of rendered images to draw from.
        phases: crops and mix over the course of training.
        learning_rate: peak of the cosine schedule.
        warm_up: iterations over which the learning rate rises linearly.
        weight_decay: AdamW's, on convolution weights.
        class_balance: class weights are frequency ** -class_balance, mean 1.
        jaccard: weight of the soft Jaccard loss beside the cross entropy's 1.
        distillation: weight of the divergence from a teacher's probabilities beside the same 1.
        loss_stride: the loss looks at every n-th row and column of the labels.
        average_decay: of the weight average that is evaluated and kept.
        seed: of initialisation and augmentation.
        augmentation: ranges of the random views.
    """

    network: str = "swiftnet_r18"
    num_classes: int = 11
    iterations: int = 3000
    batch_size: int = 8
    drive_pool: int = 720
    phases: tuple[Phase, ...] = (
        Phase(0.45, (256, 320), 0),
        Phase(0.3, (256, 320), 2),
        Phase(0.25, (352, 480), 2),
    )
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 0.02
    class_balance: float = 0.3
    jaccard: float = 0.0
    distillation: float = 0.0
    loss_stride: int = 1
    average_decay: float = 0.998
    seed: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Check the values."""
        if self.loss_stride < 1:
            raise ValueError(f"expected a loss_stride of at least 1, got {self.loss_stride}")
        for phase in self.phases:
            if not 0 <= phase.drive_images < self.batch_size:
                raise ValueError(
                    f"expected 0 <= drive_images < batch_size {self.batch_size}, "
                    f"got {phase.drive_images}"
                )
        if abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            raise ValueError("expected the shares of the phases to sum to 1")

    def phase_at(self, iteration: int) -> Phase:
        """Return the part of the schedule that an iteration belongs to."""
        passed = 0.0
        for phase in self.phases:
            passed += phase.share * self.iterations
            if iteration < passed:
                return phase
        return self.phases[-1]

    def learning_rate_at(self, iteration: int) -> float:
        """Return the learning rate: linear warm-up, then a cosine to 1 % of the peak."""
        if iteration < self.warm_up:
            return self.learning_rate * (iteration + 1) / self.warm_up
        progress = (iteration - self.warm_up) / max(1, self.iterations - self.warm_up)
        return self.learning_rate * cosine_decay(progress)


_SAVE_EVERY = 100
_VALIDATE_EVERY = 500


def train_keyframe(
    recipe: KeyframeRecipe,
    data: Path,
    output: Path,
    device: torch.device,
    start_from: nn.Module | None = None,
    teacher: nn.Module | None = None,
) -> dict[str, Tensor]:
    """Train a keyframe network; continue where an earlier call on the folder was cut.

    Args:
        recipe: what to train and how.
        data: CamVid folder.
        output: folder of the run.
        device: where to train.
        start_from: a trained network of the recipe's kind, or one with the same encoder, which is
            then taken over alone; None starts from scratch.
        teacher: a trained keyframe network of any kind whose probabilities the recipe distils;
            given if and only if its `distillation` is above 0.

    Returns:
        The averaged weights (state dict, float32, CPU).

    Raises:
        ValueError: if the recipe's network has nothing in common with `start_from`, or there is
            a teacher without distillation or distillation without a teacher.
    """
    if (teacher is not None) != (recipe.distillation > 0):
        raise ValueError(
            f"expected a teacher exactly where the recipe distils, got distillation "
            f"{recipe.distillation} and {'no' if teacher is None else 'a'} teacher"
        )
    torch.manual_seed(recipe.seed)
    if device.type == "cpu":
        keep_freed_memory()
    run = Run(output)
    network = build_keyframe_network(recipe.network, recipe.num_classes).to(device)
    if start_from is not None:
        take_over(network, start_from)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if teacher is not None:
        teacher = teacher.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    average = WeightAverage(network, recipe.average_decay)
    optimiser = _optimiser(network, recipe)
    checkpoint = run.load()
    start = 0
    if checkpoint is not None:
        network.load_state_dict(checkpoint["network"])
        optimiser.load_state_dict(checkpoint["optimiser"])
        average.state = checkpoint["average"]
        average.updates = start = int(checkpoint["iteration"])
    stills = _Stills(data)
    drives = _Drives(output, recipe.drive_pool, stills.size)
    weights = class_weights(stills.labels, recipe.num_classes, recipe.class_balance).to(device)
    normalisation = Normalisation.swiftnet()
    began, last = time.monotonic(), start
    progress = tqdm(range(start, recipe.iterations), initial=start, total=recipe.iterations)
    losses: list[float] = []
    for iteration, (images, labels) in zip(
        progress, _batches(recipe, stills, drives, start), strict=True
    ):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate_at(iteration)
        inputs = normalisation.apply(torch.from_numpy(images).to(device).permute(0, 3, 1, 2))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        target = torch.from_numpy(labels).to(device).long()
        loss = _loss(network, inputs, target, weights, recipe, teacher)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        average.update(network)
        losses.append(float(loss.detach()))
        done = iteration + 1
        if done % _SAVE_EVERY == 0 or done == recipe.iterations:
            seconds = (time.monotonic() - began) / (done - last)
            began, last = time.monotonic(), done
            figures = {"loss": float(np.mean(losses)), "seconds_per_iteration": seconds}
            losses.clear()
            if done % _VALIDATE_EVERY == 0 or done == recipe.iterations:
                figures["validation_miou"] = _validate(recipe, average, data, device)
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
    run.plot()
    return {name: value.cpu() for name, value in average.state.items()}


def _loss(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    weights: Tensor,
    recipe: KeyframeRecipe,
    teacher: nn.Module | None,
) -> Tensor:
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
            loss = loss + recipe.distillation * _divergence(full, images, teacher)
        total = total + (1.0 if index == 0 else auxiliary_weight) * loss
    return total


def _divergence(logits: Tensor, images: Tensor, teacher: nn.Module) -> Tensor:
    """Return the mean divergence from what the teacher sees, also where no label is known."""
    with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16):
        seen = teacher(images)
    size = logits.shape[-2:]
    truth = F.interpolate(seen.float(), size, mode="bilinear", align_corners=True).softmax(1)
    return F.kl_div(logits.log_softmax(1), truth, reduction="none").sum(1).mean()


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


class _Stills:
    """The training split in memory: (H, W, 3) images and (H, W) labels, uint8."""

    def __init__(self, data: Path) -> None:
        split = open_split(data, "train")
        pairs = [split[index] for index in range(len(split))]
        self.images = [image for image, _ in pairs]
        self.labels = [labels for _, labels in pairs]
        self.size = (self.labels[0].shape[0], self.labels[0].shape[1])

    def __len__(self) -> int:
        return len(self.images)


class _Drives:
    """Rendered street drives of the stills' size, rendered when first asked for."""

    def __init__(self, folder: Path, count: int, size: tuple[int, int]) -> None:
        self._make = functools.partial(load_drive_pool, folder, count, *size, first_seed=1000)

    @functools.cached_property
    def pool(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return self._make()


def _batches(
    recipe: KeyframeRecipe,
    stills: _Stills,
    drives: _Drives,
    start: int,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield the batches from iteration `start` on, prepared one ahead in a thread."""
    ready: queue.Queue[tuple[NDArray[np.uint8], NDArray[np.uint8]] | BaseException]
    ready = queue.Queue(maxsize=2)

    def produce() -> None:
        try:
            for iteration in range(start, recipe.iterations):
                ready.put(_batch(recipe, stills, drives, iteration))
        except BaseException as error:  # handed to the consumer, which raises it
            ready.put(error)

    threading.Thread(target=produce, daemon=True).start()
    for _ in range(start, recipe.iterations):
        item = ready.get()
        if isinstance(item, BaseException):
            raise item
        yield item


def _batch(
    recipe: KeyframeRecipe,
    stills: _Stills,
    drives: _Drives,
    iteration: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return batch number `iteration`: a function of the seed alone, so that runs resume."""
    rng = np.random.default_rng([recipe.seed, iteration])
    phase = recipe.phase_at(iteration)
    view = functools.partial(
        random_view, size=phase.crop, augmentation=recipe.augmentation, rng=rng
    )

    def still() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        index = int(rng.integers(len(stills)))
        return view(stills.images[index], stills.labels[index])

    def drive() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        images, labels = drives.pool
        index = int(rng.integers(len(images)))
        return view(images[index], labels[index])

    views = [drive() for _ in range(phase.drive_images)]
    while len(views) < recipe.batch_size:
        image, labels = still()
        if rng.random() < recipe.augmentation.paste:
            paste_classes(image, labels, *still(), rng)
        views.append((image, labels))
    return np.stack([image for image, _ in views]), np.stack([labels for _, labels in views])


@torch.inference_mode()
def _validate(
    recipe: KeyframeRecipe, average: WeightAverage, data: Path, device: torch.device
) -> float:
    """Return the mIoU of the averaged weights on every tenth frame of the validation clip."""
    network = build_keyframe_network(recipe.network, recipe.num_classes)
    network.load_state_dict(average.state)
    network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    normalisation = Normalisation.swiftnet()
    matrix = ConfusionMatrix(recipe.num_classes)
    split = open_split(data, "val")
    for index in range(0, len(split), 10):
        image, truth = split[index]
        inputs = normalisation.apply(torch.from_numpy(image[None]).to(device).permute(0, 3, 1, 2))
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(inputs)
        full = F.interpolate(logits.float(), truth.shape, mode="bilinear", align_corners=True)
        matrix.update(full.argmax(1)[0].to(torch.uint8).cpu().numpy(), truth)
    return matrix.miou()
