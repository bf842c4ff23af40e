# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Everything that decides a training run of a propagation network."""

from __future__ import annotations

import dataclasses
from dataclasses import field

from pydantic.dataclasses import dataclass

from gsvnet_lab.motion.camera import MotionRanges
from gsvnet_lab.training.recipe import (
    RECIPE_CONFIG,
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    Share,
)
from gsvnet_model.images.grid import GridFilter, check_grid
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationConfig


@dataclass(frozen=True, config=RECIPE_CONFIG)
class PropagationRecipe:
    """Everything that decides what a training run of a propagation network gives.

    Attributes:
        network: choices of the propagation network.
        grid_stride: image pixels per cell of the grid; the paper uses 8.
        grid_filter: filter by which images come to the grid.
        still_clips: number of clips made of stills.
        drive_clips: number of clips of rendered street drives.
        held_out_clips: number of clips of held-out stills that validate.
        distance: longest recursion, frames since the keyframe.
        flow_iterations: optimiser steps of the first phase, which trains the flow network alone.
        flow_batch_size: pairs of frames per step of the first phase.
        flow_learning_rate: highest learning rate of the first phase.
        iterations: optimiser steps of the second phase, which trains the whole network.
        batch_size: clips per step of the second phase.
        learning_rate: highest learning rate of the second phase.
        flow_factor: learning rate of the flow network in the second phase, relative to the rest.
        weight_decay: AdamW's weight decay of convolution weights.
        distillation: mean weight of the divergence from the keyframe network's probabilities on
            the same frame; it grows with the distance from the keyframe.
        intra_loss: weight of the intra network's own segmentation loss.
        flow_loss: weight of the end-point error of the flow, in cells.
        class_balance: exponent b of the class weights, frequency ** -b with mean 1.
        average_decay: decay of the weight average that is validated and kept.
        seed: seed of clips, initialisation and sampling.
        motion: ranges of the synthetic motion.

    Raises:
        ValueError: if a field is outside its range, or fields contradict each other.
    """

    network: PropagationConfig = field(default_factory=lambda: PropagationConfig(11))
    grid_stride: int = ModelInfo.grid_stride
    grid_filter: GridFilter = ModelInfo.grid_filter
    still_clips: CountOrNone = 1000
    drive_clips: CountOrNone = 200
    held_out_clips: Count = 60
    distance: Count = 5
    flow_iterations: CountOrNone = 3000
    flow_batch_size: Count = 16
    flow_learning_rate: Positive = 2e-3
    iterations: Count = 2500
    batch_size: Count = 8
    learning_rate: Positive = 2e-3
    flow_factor: NotNegative = 0.2
    weight_decay: NotNegative = 1e-4
    distillation: NotNegative = 0.0
    intra_loss: NotNegative = 0.1
    flow_loss: NotNegative = 0.1
    class_balance: float = 0.3
    average_decay: Share = 0.998
    seed: CountOrNone = 1
    motion: MotionRanges = field(default_factory=MotionRanges)

    def __post_init__(self) -> None:
        """Check the values against each other."""
        check_grid(self.grid_stride, self.grid_filter)
        if self.still_clips + self.drive_clips < 1:
            raise ValueError("expected clips to train on, got 0 still_clips and 0 drive_clips")

    def described(self, info: ModelInfo) -> ModelInfo:
        """Return the info of the weights that this recipe gives.

        Args:
            info: info of the keyframe network's weights.
        """
        return dataclasses.replace(
            info,
            grid_stride=self.grid_stride,
            grid_filter=self.grid_filter,
            propagation_trained=True,
        )

    @property
    def total_iterations(self) -> int:
        """Optimiser steps of both phases."""
        return self.flow_iterations + self.iterations
