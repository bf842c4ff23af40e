# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What decides a training run of a keyframe network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from gsvnet_lab.data.augment import Augmentation
from gsvnet_lab.training.learning_rate import cosine_decay
from gsvnet_model.model_info import ModelInfo


@dataclass(frozen=True)
class Phase:
    """A part of the schedule with its own crop and mix.

    Attributes:
        share: share of all iterations.
        crop: (height, width) of the training crop; see `KeyframeRecipe.input_stride`.
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
        input_scale: as `ModelInfo`'s: of inputs for which the weights are meant. Crops are chosen
            by `phases`, how large things look in them by `augmentation`.
        max_input_pixels: likewise.
        input_stride: as `ModelInfo`'s; crops have such sides too.
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
    input_scale: float = 1.0
    max_input_pixels: int = 0
    input_stride: int = 1
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
            if any((side - 1) % self.input_stride for side in phase.crop):
                raise ValueError(
                    f"expected crops of one more than a multiple of input_stride "
                    f"{self.input_stride}, got {phase.crop}"
                )
        if abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            raise ValueError("expected the shares of the phases to sum to 1")

    def described(self, info: ModelInfo) -> ModelInfo:
        """Return what belongs to the weights that this gives, from that of its start."""
        return dataclasses.replace(
            info,
            input_scale=self.input_scale,
            max_input_pixels=self.max_input_pixels,
            input_stride=self.input_stride,
            logit_adjustment=(),
        )

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
