# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The weights of both networks with everything that belongs to them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.hardware.allocator import tune_malloc
from gsvnet_model.hardware.device import numbered
from gsvnet_model.hardware.free_cores import on_free_cores
from gsvnet_model.images.grid import GridImage, grid_image
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm_if_equal
from gsvnet_model.networks.keyframe import checked_logits
from gsvnet_model.networks.propagation import PropagationNetwork, PropagationOutput
from gsvnet_model.networks.propagation.inference import PropagationInference

Propagate: TypeAlias = Callable[[Tensor, Tensor, Tensor], PropagationOutput]
"""From (N, K, h, w) logits, (N, 3, h, w) current and (N, 3, h, w) previous image."""


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
        propagate: what propagates on the device in place of the propagation network, if given.

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
        propagate: Propagate | None = None,
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
        self.keyframe = fuse_batch_norm_if_equal(keyframe).to(self.device, precision)
        self.keyframe.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.propagation = copy.deepcopy(propagation).to(self.device)
        self.propagation.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.propagation.eval().requires_grad_(False)
        self.plain_segment: Callable[[Tensor], Tensor] = functools.partial(
            _segmented, self.keyframe, info, info.bias_tensor(self.device), precision
        )
        self._given_propagate = propagate
        self.plain_propagate: Propagate = propagate or PropagationInference(
            self.propagation, precision
        )
        self._segment: Callable[[Tensor], Tensor] = self.plain_segment
        self._propagate: Propagate = self.plain_propagate
        if self.device.type == "cuda":
            from gsvnet_model.ops.cuda.graphs import CudaGraphs, ReplayedFunction

            self._segment = ReplayedFunction(self.plain_segment, CudaGraphs(self.device))
            # Ahead of background keyframes.
            self._propagate = ReplayedFunction(self.plain_propagate, CudaGraphs(self.device, -1))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the networks alone: what is packed or recorded for speed is made where they go."""
        networks = (self.keyframe, self.propagation)
        options = (self.info, self.device, self.precision, self._given_propagate)
        return type(self), (*networks, *options)

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
            ValueError: if the image has no pixel.
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


# No method: the model would hold what holds the model, and its memory would outlive it.
def _segmented(
    keyframe: nn.Module, info: ModelInfo, bias: Tensor, precision: torch.dtype, image: Tensor
) -> Tensor:
    output = keyframe(info.keyframe_input(image, precision))
    return checked_logits(output, len(image), info.classes.num_classes).float() + bias
