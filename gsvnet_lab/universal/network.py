# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One propagation step without classes: it carries the logits of any network."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsvnet_lab.universal.cues import NUM_CUES, class_free_cues, kept_inside, label_edges
from gsvnet_model.networks.propagation.flow import FlowLight, flow_on_grid
from gsvnet_model.networks.propagation.guide import GuideNetwork
from gsvnet_model.networks.propagation.kernels import KernelBank
from gsvnet_model.networks.propagation.step import PropagationOutput
from gsvnet_model.ops.mix import guided_filter
from gsvnet_model.ops.warp import backward_warp

_KERNEL_SIZE = 3
_MAX_GUIDE_CHANNELS = 256


@dataclass(frozen=True)
class UniversalConfig:
    """Choices of the universal propagation network; the number of classes is none of them.

    Attributes:
        guide_channels: channels of the guiding network on the full grid. Half of the released
            network's are enough: it need not tell classes apart.

    Raises:
        ValueError: If a field is outside its range.
    """

    guide_channels: int = 16

    def __post_init__(self) -> None:
        """Check the values."""
        value = self.guide_channels
        # A file may ask for any number, and the network is made before its tensors are read.
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not 1 <= value <= _MAX_GUIDE_CHANNELS
        ):
            raise ValueError(
                f"guide_channels: expected a whole number of 1 to {_MAX_GUIDE_CHANNELS}, "
                f"got {value!r}"
            )


class UniversalPropagation(nn.Module):
    """Flow, warp, class-free guide and kernel bank as one step.

    There is no intra network: what a class looks like belongs to the class.

    No parameter belongs to a class: any number of classes from 2 on is carried, and classes in
    another order give the same in that order. Adding the same number to all logits of a cell
    changes nothing but that number.
    """

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__()
        self.config = config
        self.flow = FlowLight()
        self.kernels = KernelBank(_KERNEL_SIZE, learned=False)
        self.guide = GuideNetwork(
            in_channels=NUM_CUES,
            num_slots=1 + len(self.kernels.weight),
            channels=config.guide_channels,
        )

    def forward(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Propagate the logits of the previous frame to the current frame.

        Args:
            logits: Logits of the previous frame (N, K, h, w), float, no softmax; K at least 2.
            current: Normalised RGB image of the current frame on the grid (N, 3, h, w), float.
            previous: The same of the frame just before, which need not be the keyframe.

        Returns:
            The new logits and everything computed on the way. There are no intra logits; the edge
            map is that of `label_edges`; the flow is as estimated, also where it points out of the
            grid and the warp stays inside.

        Raises:
            ValueError: If the shapes do not fit together or there are fewer than two classes.

        Convention:
            everything lives on one grid with align_corners=True geometry; the flow is
            backward, out(x) = previous(x + flow(x)), in pixels of this grid; flow that points
            outside reads the border.
        """
        check_universal_shapes(logits, current, previous)
        num_classes, height, width = logits.shape[1:]
        flow = flow_on_grid(self.flow(current, previous).float(), height, width)
        inside, outside = kept_inside(flow)
        warped = backward_warp(torch.cat((logits, previous), dim=1), inside)
        warped_logits, warped_previous = warped[:, :num_classes], warped[:, num_classes:]
        probabilities = warped_logits.float().softmax(1)
        warped_labels = warped_logits.argmax(dim=1)
        edge = label_edges(warped_labels)
        cues = class_free_cues(current, warped_previous, probabilities, edge, flow, outside)
        mixing = self.guide(cues)
        return PropagationOutput(
            logits=guided_filter(warped_logits, mixing, self.kernels(), None),
            flow=flow,
            warped_logits=warped_logits,
            warped_labels=warped_labels.to(torch.int32),
            warped_previous=warped_previous,
            intra_logits=None,
            edge=edge,
            mixing=mixing,
        )


def check_universal_shapes(logits: Tensor, current: Tensor, previous: Tensor) -> None:
    """Check the inputs of a step; see `UniversalPropagation.forward`."""
    batch, num_classes, height, width = logits.shape
    if num_classes < 2:
        raise ValueError(
            f"logits: expected at least 2 classes, got {num_classes}; give a network that "
            "scores one class a second channel of zeros"
        )
    for name, values in (("current", current), ("previous", previous)):
        if values.shape != (batch, 3, height, width):
            raise ValueError(
                f"{name}: expected shape {(batch, 3, height, width)}, got "
                f"{tuple(values.shape)}; resize the images and the logits to one grid"
            )
