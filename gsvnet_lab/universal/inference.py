# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The universal propagation step, arranged for speed; `network` is what it has to equal."""

import functools

import torch
from torch import Tensor

from gsvnet_lab.universal.cue_loop import fill_cue_rows
from gsvnet_lab.universal.cues import (
    FLOW_SCALE,
    NUM_CUES,
    class_free_cues,
    kept_inside,
    label_edges,
)
from gsvnet_lab.universal.network import UniversalPropagation, check_universal_shapes
from gsvnet_model.networks.prepacked_convolution import prepack_convolutions
from gsvnet_model.networks.propagation.flow import flow_on_grid
from gsvnet_model.networks.propagation.inference import GuideInference, prepared
from gsvnet_model.networks.propagation.step import PropagationOutput
from gsvnet_model.ops.cpu.loops import as_numpy, fill_rows
from gsvnet_model.ops.mix import mix
from gsvnet_model.ops.warp import warp_state

_RADIUS = 1

_CELLS_PER_THREAD = 1 << 13
"""Smaller grids are not worth a second thread."""


class UniversalInference:
    """A universal propagation network without gradients: any number of classes, batch and grid.

    As `PropagationInference`: convolutions in a precision of choice, the rest in float32.

    Args:
        network: the network as trained, on its device; it is not changed.
        precision: dtype of the convolutions.
    """

    def __init__(self, network: UniversalPropagation, precision: torch.dtype) -> None:
        self.config = network.config
        self.precision = precision
        self._network = network
        self.flow = prepack_convolutions(prepared(network.flow, precision))
        self.scores = GuideInference(network.guide, precision)
        self.kernels = network.kernels().detach().float()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the network alone: what is packed for speed is made where it goes."""
        return type(self), (self._network, self.precision)

    @torch.inference_mode()
    def __call__(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Propagate the logits of the previous frame to the current frame.

        Args:
            logits: Logits of the previous frame (N, K, h, w), float32, no softmax; K at least 2.
            current: Normalised RGB image of the current frame on the grid (N, 3, h, w), float32.
            previous: The same of the frame just before, which need not be the keyframe.

        Returns:
            As `UniversalPropagation`, float32.

        Raises:
            ValueError: If the shapes do not fit together or there are fewer than two classes.

        Convention:
            as `UniversalPropagation`.
        """
        check_universal_shapes(logits, current, previous)
        images = [
            image.to(self.precision, memory_format=torch.channels_last)
            for image in (current, previous)
        ]
        raw_flow = self.flow(*images).to(torch.float32, memory_format=torch.contiguous_format)
        flow = flow_on_grid(raw_flow, *logits.shape[-2:])
        inside, outside = kept_inside(flow)
        padded, warped_previous, labels = warp_state(logits, previous, inside, _RADIUS)
        warped_logits = padded[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
        cues, edge = _cues(padded, labels, current, warped_previous, flow, outside, self.precision)
        mixing, mixed = mix(padded, None, self.scores(cues), self.kernels)
        return PropagationOutput(
            logits=mixed,
            flow=flow,
            warped_logits=warped_logits,
            warped_labels=labels,
            warped_previous=warped_previous,
            intra_logits=None,
            edge=edge,
            mixing=mixing,
        )


def _cues(
    padded: Tensor,
    labels: Tensor,
    current: Tensor,
    warped_previous: Tensor,
    flow: Tensor,
    outside: Tensor,
    precision: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return the cues (N, C, h, w) in a precision, channels last, and the edge map.

    Args:
        padded: warped logits (N, K, h + 2, w + 2) float32.
        labels: their winning classes (N, h, w) int32.
        current: (N, 3, h, w) float32.
        warped_previous: (N, 3, h, w) float32.
        flow: (N, 2, h, w) float32.
        outside: (N, 1, h, w) float32.
        precision: of the cues.
    """
    batch, height, width = labels.shape
    if current.device.type != "cpu":
        edge = label_edges(labels)
        probabilities = padded[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS].softmax(1)
        made = class_free_cues(current, warped_previous, probabilities, edge, flow, outside)
        return made.to(precision, memory_format=torch.channels_last), edge
    cues = torch.empty(batch, height, width, NUM_CUES, dtype=precision)
    edge = current.new_empty(batch, 1, height, width)
    loop = functools.partial(
        fill_cue_rows,
        padded.numpy(),
        labels.numpy(),
        current.contiguous().numpy(),
        warped_previous.numpy(),
        flow.contiguous().numpy(),
        outside.contiguous().numpy(),
        FLOW_SCALE,
        edge.numpy(),
        as_numpy(cues),
    )
    fill_rows(loop, batch * height, 1 + batch * height * width // _CELLS_PER_THREAD)
    return cues.permute(0, 3, 1, 2), edge
