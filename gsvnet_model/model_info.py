# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What belongs to the weights of a model besides its tensors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gsvnet_model.images.grid import GridFilter, check_grid, grid_size
from gsvnet_model.images.network_input import Normalisation, input_size, keyframe_image
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.scheduling.quality import QualityModel

UNTRAINED_PROPAGATION = (
    "the propagation network of these weights was never trained, so the labels between keyframes "
    "are wrong; train it with 'gsvnet train propagation', take that of other weights with 'gsvnet "
    "combine', or use keyframe interval 1"
)
"""What to tell the user of weights whose `ModelInfo.propagation_trained` is false."""

INPUT_SCALES = (0.1, 2.0)
"""Smallest and largest number of keyframe input pixels per image pixel and direction."""


@dataclass(frozen=True)
class ModelInfo:
    """What weights mean and what they expect.

    Attributes:
        keyframe_network: name in the registry of keyframe networks.
        classes: what the class ids mean.
        normalisation: constants of the networks' inputs.
        input_scale: keyframe input pixels per image pixel and direction (the paper: 0.75).
        max_input_pixels: keyframe inputs of more pixels are scaled down to about so many: things
            look as large as in training, and no camera costs more; 0 allows any number.
        input_stride: the sides of the keyframe input are one more than a multiple of this; see
            `input_size`.
        grid_stride: image pixels per cell of the propagated state (the paper: 8), in images of
            `max_input_pixels` where that is given; see `grid_stride_of`.
        grid_filter: how images come to the grid.
        logit_adjustment: what is added to the keyframe network's logits, one value per class;
            none adds nothing. `gsvnet adjust-logits` fits it.
        temperatures: what logits are divided by for the confidence, by frames since the keyframe;
            the last one is that of all older frames.
        temperature_slope: by how much the logarithm of the temperature rises with each percent
            of estimated disagreement. `gsvnet fit-quality` fits it with the estimate.
        quality: estimate of how far propagated labels are from a keyframe's; the default sees no
            loss and no cut. `gsvnet fit-quality` fits it.
        propagation_trained: whether the propagation network has learned anything;
            `gsvnet train keyframe` writes weights in which it has not.
        metrics: figures measured with these weights, by name.
        command: the command that trained them.
    """

    keyframe_network: str
    classes: ClassTable
    normalisation: Normalisation
    input_scale: float = 1.0
    max_input_pixels: int = 0
    input_stride: int = 1
    grid_stride: int = 8
    grid_filter: GridFilter = "area"
    logit_adjustment: tuple[float, ...] = ()
    temperatures: tuple[float, ...] = (1.0,)
    temperature_slope: float = 0.0
    quality: QualityModel = field(default_factory=QualityModel)
    propagation_trained: bool = True
    metrics: Mapping[str, float] = field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        """Check the values."""
        _check_range("input scale", [self.input_scale], *INPUT_SCALES)
        _check_range("number of input pixels", [self.max_input_pixels], 0, 1 << 31)
        _check_range("input stride", [self.input_stride], 1, 1024)
        check_grid(self.grid_stride, self.grid_filter)
        _check_range("mean, grey levels", self.normalisation.mean, -1000, 1000)
        _check_range("deviation, grey levels", self.normalisation.std, 0.01, 10_000)
        if len(self.logit_adjustment) not in (0, self.classes.num_classes):
            raise ValueError(
                f"expected a logit adjustment of {self.classes.num_classes} values or none, "
                f"got {len(self.logit_adjustment)}"
            )
        _check_range("logit adjustment", self.logit_adjustment, -100, 100)
        if not self.temperatures:
            raise ValueError("expected one temperature or more, got none")
        _check_range("temperature", self.temperatures, 0.01, 100)
        # Estimates go up to 100 percent, and the exponential must not overflow.
        _check_range("temperature slope", [self.temperature_slope], -1, 1)
        for name in ("linear", "root", "cut"):
            weights = getattr(self.quality, name).values()
            _check_range(f"{name} weight of the quality", weights, -1e6, 1e6)
        _check_range("cut bias of the quality", [self.quality.cut_bias], -1e6, 1e6)

    def scale_of(self, height: int, width: int) -> float:
        """Return keyframe input pixels per pixel of an image and direction."""
        return min(self.input_scale, self._largest_scale(height, width))

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of the keyframe network's input for an image."""
        return input_size(height, width, self.scale_of(height, width), self.input_stride)

    def keyframe_input(self, image: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
        """Return the keyframe network's input for (N, 3, H, W) uint8; see `keyframe_image`."""
        size = self.input_size(*image.shape[-2:])
        return keyframe_image(image, size, self.normalisation, precision)

    def bias_tensor(self, device: torch.device) -> Tensor:
        """Return the class bias, or zeros, as (1, K, 1, 1) float32."""
        bias = self.logit_adjustment or (0.0,) * self.classes.num_classes
        return torch.tensor(bias, device=device).view(1, -1, 1, 1)

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of an image's grid; see there."""
        return grid_size(height, width, self.grid_stride_of(height, width), self.grid_filter)

    def grid_stride_of(self, height: int, width: int) -> int:
        """Return image pixels per cell of an image's grid, an even number of at least 4.

        Where keyframe inputs have a largest size, the grid of every image has about as many cells
        as that of an image of this size. Of a larger one keyframes know no more than such a grid
        holds, and things move by as many cells from frame to frame as in training; in a small one
        fewer cells would lose more on the way than they save. Without a largest size cells follow
        keyframe inputs that are finer than the image.
        """
        finer = max(1.0, self.input_scale)
        if self.max_input_pixels:
            finer = self._largest_scale(height, width)
        return max(4, 2 * round(self.grid_stride / finer / 2))

    def _largest_scale(self, height: int, width: int) -> float:
        """Return the scale at which an image is as large as a keyframe input may be."""
        if not self.max_input_pixels:
            return math.inf
        # An empty image is refused where its grid is made.
        return math.sqrt(self.max_input_pixels / max(1, height * width))

    def unfitted(self) -> ModelInfo:
        """Return the info without what was fitted to the weights and measured with them.

        The class bias stays: it is the keyframe network's alone.
        """
        fresh = ModelInfo(self.keyframe_network, self.classes, self.normalisation)
        return dataclasses.replace(
            self,
            temperatures=fresh.temperatures,
            temperature_slope=fresh.temperature_slope,
            quality=fresh.quality,
            metrics=fresh.metrics,
        )

    def at_scale(self, input_scale: float) -> ModelInfo:
        """Return the info of the same weights at a keyframe input scale of one's own."""
        return dataclasses.replace(self, input_scale=input_scale, max_input_pixels=0)

    def temperature_at(self, age: int, disagreement: float = 0.0) -> float:
        """Return what the logits of a frame are divided by for its confidence.

        Args:
            age: frames since the keyframe.
            disagreement: estimated, percent of pixels.
        """
        of_age = self.temperatures[min(age, len(self.temperatures) - 1)]
        return of_age * math.exp(self.temperature_slope * disagreement)


def _check_range(name: str, values: Iterable[float], low: float, high: float) -> None:
    """Refuse values outside of low..high, NaN included."""
    for value in values:
        if not low <= value <= high:
            raise ValueError(f"expected a {name} of {low} to {high}, got {value}")
