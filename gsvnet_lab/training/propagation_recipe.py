# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What decides a training run of a propagation network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from gsvnet_lab.motion import MotionRanges
from gsvnet_lab.training.learning_rate import cosine_decay
from gsvnet_model.images.grid import GridFilter, check_grid
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationConfig

_WARM_UP = 50


@dataclass(frozen=True)
class PropagationRecipe:
    """Everything that decides what a training run of a propagation network gives.

    Attributes:
        network: choices of the propagation network.
        grid_stride: image pixels per cell of the grid; the paper uses 8.
        grid_filter: how images come to the grid.
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
        distillation: weight of the divergence from the keyframe network's probabilities on the
            same frame, on average; it grows with the distance from the keyframe.
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
    grid_stride: int = ModelInfo.grid_stride
    grid_filter: GridFilter = ModelInfo.grid_filter
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
        check_grid(self.grid_stride, self.grid_filter)
        for name in ("held_out_clips", "distance", "flow_batch_size", "iterations", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("still_clips", "drive_clips", "flow_iterations"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.still_clips + self.drive_clips < 1:
            raise ValueError("expected clips to train on: still_clips or drive_clips above 0")

    def described(self, info: ModelInfo) -> ModelInfo:
        """Return what belongs to the weights that this gives, from that of the keyframe's."""
        return dataclasses.replace(info, grid_stride=self.grid_stride, grid_filter=self.grid_filter)

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
        return peak * warm_up * cosine_decay(step / count)
