# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Everything that decides a training run of a keyframe network."""

from __future__ import annotations

import dataclasses
from dataclasses import field

from pydantic.dataclasses import dataclass

from gsvnet_lab.data.augment import Augmentation
from gsvnet_lab.training.recipe import (
    RECIPE_CONFIG,
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    Share,
)
from gsvnet_model.model_info import ModelInfo


@dataclass(frozen=True, config=RECIPE_CONFIG)
class Phase:
    """A part of the schedule with its own crop and mix.

    Attributes:
        share: share of all iterations, 0 to 1.
        crop: (height, width) of the training crop, pixels; see `KeyframeRecipe.input_stride`.
        drive_images: number of images in a batch that are rendered street drives.
    """

    share: Share
    crop: tuple[Count, Count]
    drive_images: CountOrNone


@dataclass(frozen=True, config=RECIPE_CONFIG)
class KeyframeRecipe:
    """Everything that decides what a training run of a keyframe network gives.

    Attributes:
        network: name in the registry of keyframe networks.
        num_classes: number of classes K.
        input_scale: `ModelInfo.input_scale` of the weights. It does not change the training:
            `phases` chooses the crops, `augmentation` how large things look in them.
        max_input_pixels: `ModelInfo.max_input_pixels` of the weights.
        input_stride: `ModelInfo.input_stride` of the weights; the sides of crops too are one more
            than a multiple of it.
        iterations: optimiser steps.
        batch_size: images per step, 2 or more.
        drive_pool: number of rendered images to draw from.
        phases: crops and mix over the course of training.
        learning_rate: highest learning rate, reached after the warm-up.
        warm_up: iterations over which the learning rate rises linearly.
        weight_decay: AdamW's weight decay of convolution weights.
        class_balance: exponent b of the class weights, frequency ** -b with mean 1.
        jaccard: weight of the soft Jaccard loss; the cross entropy has weight 1.
        distillation: weight of the divergence from a teacher's probabilities; the cross entropy
            has weight 1.
        loss_stride: the loss looks at every n-th row and column of the labels.
        average_decay: decay of the weight average that is validated and kept.
        seed: seed of initialisation and augmentation.
        augmentation: ranges of the random views.

    Raises:
        ValueError: if a field is outside its range, or fields contradict each other.
    """

    network: str = "swiftnet_r18"
    num_classes: Count = 11
    input_scale: float = 1.0
    max_input_pixels: CountOrNone = 0
    input_stride: Count = 1
    iterations: Count = 3000
    batch_size: Count = 8
    drive_pool: CountOrNone = 720
    phases: tuple[Phase, ...] = (
        Phase(0.45, (256, 320), 0),
        Phase(0.3, (256, 320), 2),
        Phase(0.25, (352, 480), 2),
    )
    learning_rate: Positive = 1e-3
    warm_up: CountOrNone = 200
    weight_decay: NotNegative = 0.02
    class_balance: float = 0.3
    jaccard: NotNegative = 0.0
    distillation: NotNegative = 0.0
    loss_stride: Count = 1
    average_decay: Share = 0.998
    seed: CountOrNone = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Check the values against each other."""
        if self.batch_size < 2:
            raise ValueError(
                f"batch_size: expected at least 2, got {self.batch_size}: the networks pool an "
                "image to one value per channel, and batch normalisation cannot train on one value"
            )
        for phase in self.phases:
            if not phase.drive_images < self.batch_size:
                raise ValueError(
                    f"expected drive_images below batch_size {self.batch_size}, "
                    f"got {phase.drive_images}"
                )
            if phase.drive_images and not self.drive_pool:
                raise ValueError(
                    f"expected a drive_pool of at least 1 for {phase.drive_images} drive_images, "
                    f"got {self.drive_pool}"
                )
            if any((side - 1) % self.input_stride for side in phase.crop):
                raise ValueError(
                    f"expected crops of one more than a multiple of input_stride "
                    f"{self.input_stride}, got {phase.crop}"
                )
        total = sum(phase.share for phase in self.phases)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"expected the shares of the phases to sum to 1, got {total:g}")

    def described(self, info: ModelInfo) -> ModelInfo:
        """Return the info of the weights that this recipe gives.

        Args:
            info: info of the weights that the training starts from.
        """
        return dataclasses.replace(
            info,
            input_scale=self.input_scale,
            max_input_pixels=self.max_input_pixels,
            input_stride=self.input_stride,
            logit_adjustment=(),
        )

    def phase_at(self, iteration: int) -> Phase:
        """Return the part of the schedule that an iteration (0 is the first) belongs to."""
        passed = 0.0
        for phase in self.phases:
            passed += phase.share * self.iterations
            if iteration < passed:
                return phase
        return self.phases[-1]
