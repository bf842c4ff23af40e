# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The weights of both networks with everything that belongs to them."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.hardware.allocator import tune_malloc
from gsvnet_model.hardware.device import numbered
from gsvnet_model.hardware.free_cores import on_free_cores
from gsvnet_model.images.preprocessing import (
    GridFilter,
    GridImage,
    Normalisation,
    check_grid,
    grid_image,
    grid_size,
    image_tensor,
    input_size,
    keyframe_image,
)
from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm
from gsvnet_model.networks.propagation import PropagationNetwork, PropagationOutput
from gsvnet_model.networks.propagation.inference import PropagationInference
from gsvnet_model.ops.cuda.graphs import CudaGraphs, ReplayedFunction
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.stream.exact_batches import ExactBatches, Propagate

INPUT_SCALES = (0.1, 2.0)
"""Smallest and largest number of keyframe input pixels per image pixel and direction."""

UNTRAINED_PROPAGATION = (
    "the propagation network of these weights was never trained, so the labels between keyframes "
    "are wrong; train it with 'gsvnet train propagation', take that of other weights with 'gsvnet "
    "combine', or use keyframe interval 1"
)
"""What to tell the user of weights whose `ModelInfo.propagation_trained` is false."""


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
        low, high = INPUT_SCALES
        if not low <= self.input_scale <= high:
            raise ValueError(f"expected an input scale of {low} to {high}, got {self.input_scale}")
        if self.max_input_pixels < 0:
            raise ValueError(f"expected 0 or more input pixels, got {self.max_input_pixels}")
        if self.input_stride < 1:
            raise ValueError(f"expected an input stride of at least 1, got {self.input_stride}")
        check_grid(self.grid_stride, self.grid_filter)
        if len(self.logit_adjustment) not in (0, self.classes.num_classes):
            raise ValueError(
                f"expected a class bias of {self.classes.num_classes} values or none, "
                f"got {len(self.logit_adjustment)}"
            )
        if not self.temperatures or not all(value > 0 for value in self.temperatures):
            raise ValueError(f"expected temperatures above 0, got {self.temperatures}")

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


class SegmentationModel:
    """Keyframe and propagation network, ready to run: stateless, shared by all streams.

    Any network from normalised (N, 3, H, W) RGB to (N, K, h, w) logits can label the keyframes::

        model = SegmentationModel(my_network, PropagationNetwork(PropagationConfig(19)), info)
        segmenter = VideoSegmenter(model)

    Args:
        keyframe: the keyframe network.
        propagation: the propagation network, of as many classes.
        info: what belongs to the weights.
        device: where both run; the networks are copied there, batch normalisation folded.
        precision: dtype of the convolutions. The propagated state, its warp and its mixing are
            always float32, because the state is fed back from frame to frame.

    Attributes:
        plain_segment: computes what `segment` does, kernel by kernel also on a GPU: for
            recordings of more than that.
        plain_propagate: the same of `propagate`.

    Raises:
        ValueError: if the class counts differ.
    """

    def __init__(
        self,
        keyframe: nn.Module,
        propagation: PropagationNetwork,
        info: ModelInfo,
        device: torch.device | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        if propagation.config.num_classes != info.classes.num_classes:
            raise ValueError(
                f"expected a propagation network of {info.classes.num_classes} classes, "
                f"got {propagation.config.num_classes}"
            )
        self.info = info
        self.device = numbered(device or torch.device("cpu"))
        self.precision = precision
        if self.device.type == "cpu":
            tune_malloc()
        self.keyframe = fuse_batch_norm(keyframe).to(self.device, precision)
        self.keyframe.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.propagation = copy.deepcopy(propagation).to(self.device)
        self.propagation.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.propagation.eval().requires_grad_(False)
        self.plain_segment: Callable[[Tensor], Tensor] = functools.partial(
            _segmented, self.keyframe, info, info.bias_tensor(self.device), precision
        )
        self.plain_propagate: Propagate = PropagationInference(self.propagation, precision)
        self._segment: Callable[[Tensor], Tensor] = self.plain_segment
        self._propagate: Propagate = self.plain_propagate
        if self.device.type == "cuda":
            self._segment = ReplayedFunction(self.plain_segment, CudaGraphs(self.device))
            # Before keyframes that are labelled beside the stream.
            self._propagate = ReplayedFunction(self.plain_propagate, CudaGraphs(self.device, -1))
        self._batches = ExactBatches(self._propagate)

    @on_free_cores
    @torch.inference_mode()
    def segment(self, image: Tensor) -> Tensor:
        """Label a keyframe.

        Args:
            image: (1, 3, H, W) uint8 RGB on the model's device.

        Returns:
            The network's own (1, K, h, w) logits with the class bias, float32.
        """
        return self._segment(image)

    @on_free_cores
    def grid_input(self, image: NDArray[np.uint8]) -> GridImage:
        """Return an (H, W, 3) uint8 RGB image on the grid, as flow and intra network take it.

        Raises:
            ValueError: if it is too small for a grid of 2 x 2 cells.
        """
        stride = self.info.grid_stride_of(image.shape[0], image.shape[1])
        pixels = grid_image(image, stride, self.info.grid_filter)
        return GridImage(pixels, self.info.normalisation.apply(image_tensor(pixels, self.device)))

    @torch.inference_mode()
    def to_grid(self, logits: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return keyframe logits (1, K, ., .) as the (1, K, h, w) state on the grid.

        Convention:
            Bilinear with align_corners=True, as published.
        """
        state = F.interpolate(logits, grid, mode="bilinear", align_corners=True)
        # As propagated states lie in memory, so that what is compiled for one serves the other.
        return state.contiguous()

    @on_free_cores
    @torch.inference_mode()
    def propagate(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Carry the state (1, K, h, w) from the previous frame to the current one.

        Args:
            logits: the state of the previous frame.
            current: (1, 3, h, w) normalised grid image of the current frame.
            previous: the same of the previous frame.

        Returns:
            The new state and what was computed on the way.
        """
        return self._propagate(logits, current, previous)

    @on_free_cores
    @torch.inference_mode()
    def propagate_streams(
        self,
        states: Sequence[Tensor],
        current: Sequence[Tensor],
        previous: Sequence[Tensor],
    ) -> list[PropagationOutput]:
        """Propagate several streams of one size, each exactly as `propagate` would.

        Args:
            states: one (1, K, h, w) state per stream.
            current: one (1, 3, h, w) normalised grid image each.
            previous: the same of the frames before.

        Returns:
            One output per stream.
        """
        return self._batches(states, current, previous)


# No method: the model would hold what holds the model, and its memory would outlive it.
def _segmented(
    keyframe: nn.Module, info: ModelInfo, bias: Tensor, precision: torch.dtype, image: Tensor
) -> Tensor:
    logits: Tensor = keyframe(info.keyframe_input(image, precision))
    return logits.float() + bias
