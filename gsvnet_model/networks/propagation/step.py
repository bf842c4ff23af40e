# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One propagation step: from the previous frame's logits to the current frame's."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gsvnet_model.networks.propagation.edge import EDGE_KINDS, EdgeKind, edge_map
from gsvnet_model.networks.propagation.flow import FlowLight, flow_on_grid
from gsvnet_model.networks.propagation.guide import GuideNetwork
from gsvnet_model.networks.propagation.intra import IntraNetwork
from gsvnet_model.networks.propagation.kernels import KERNEL_SIZES, KernelBank
from gsvnet_model.ops.mix import guided_filter
from gsvnet_model.ops.warp import warp_state_reference


@dataclass(frozen=True)
class PropagationConfig:
    """Choices of the propagation network; the defaults are the released network.

    Attributes:
        num_classes: Classes K of the logits.
        kernel_size: 3 (8 one-pixel shifts and a null kernel) or 5 (8 two-pixel shifts more).
        learned_kernels: Whether the kernels are trained, starting from the ideal delays.
        use_intra: Whether the current frame is segmented by the intra network. Without it the
            last mixing slot is missing and the guiding network sees the warped logits instead
            of the intra logits.
        edge: Edge map for the guiding network: ``binary`` as released, the paper's
            ``sigmoid``, or ``none`` for no such input.
        intra_channels: Channels inside the intra network.

    Raises:
        ValueError: If a field is outside its range.
    """

    num_classes: int
    kernel_size: int = 3
    learned_kernels: bool = False
    use_intra: bool = True
    # The paper's sigmoid is not the default because the released weights were trained with
    # the binary map.
    edge: EdgeKind = "binary"
    intra_channels: int = 32

    def __post_init__(self) -> None:
        for name in ("num_classes", "kernel_size", "intra_channels"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected a whole number >= 1, got {value!r}")
        for name in ("learned_kernels", "use_intra"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ValueError(f"{name}: expected true or false, got {value!r}")
        if self.num_classes < 2:
            raise ValueError(f"num_classes: expected at least 2, got {self.num_classes}")
        if self.kernel_size not in KERNEL_SIZES:
            raise ValueError(f"kernel_size: expected one of {KERNEL_SIZES}, got {self.kernel_size}")
        if self.edge not in EDGE_KINDS:
            raise ValueError(f"edge: expected one of {EDGE_KINDS}, got {self.edge!r}")


class PropagationOutput(NamedTuple):
    """Everything one step computes, on the grid (N, ., h, w).

    Attributes:
        logits: The new logits (N, K, h, w): the state for the next step.
        flow: Flow (N, 2, h, w), (dx, dy) in pixels of the grid, current to previous.
        warped_logits: The previous logits, warped (N, K, h, w).
        warped_labels: Its winning classes (N, h, w), int32.
        warped_previous: The previous image, warped (N, 3, h, w); not used by the network.
        intra_logits: Logits of the intra network (N, K, h, w), or None without it.
        edge: Edge map (N, 1, h, w), or None without it.
        mixing: Mixing weights (N, S, h, w); slots are identity, kernels, intra (if any).
    """

    logits: Tensor
    flow: Tensor
    warped_logits: Tensor
    warped_labels: Tensor
    warped_previous: Tensor
    intra_logits: Tensor | None
    edge: Tensor | None
    mixing: Tensor


class PropagationNetwork(nn.Module):
    """Flow, warp, intra network, edge map, guiding network and kernel bank as one step.

    See: paper Sec. 3 (framework overview).
    """

    def __init__(self, config: PropagationConfig) -> None:
        super().__init__()
        self.config = config
        self.flow = FlowLight()
        self.intra = (
            IntraNetwork(config.num_classes, config.intra_channels) if config.use_intra else None
        )
        self.kernels = KernelBank(config.kernel_size, config.learned_kernels)
        num_kernels = self.kernels.weight.shape[0]
        self.guide = GuideNetwork(
            in_channels=config.num_classes + (config.edge != "none"),
            num_slots=1 + num_kernels + config.use_intra,
        )

    def forward(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Propagate the logits of the previous frame to the current frame.

        Args:
            logits: Logits of the previous frame (N, K, h, w), float, no softmax.
            current: Normalised RGB image of the current frame on the grid (N, 3, h, w), float.
            previous: Normalised RGB image of the frame just before, which need not be the
                keyframe, on the grid (N, 3, h, w), float.

        Returns:
            The new logits and everything computed on the way.

        Raises:
            ValueError: If the shapes do not fit together.

        Convention:
            everything lives on one grid with align_corners=True geometry; the flow is
            backward, out(x) = previous(x + flow(x)), in pixels of this grid, zeros outside.
        """
        batch, _, height, width = logits.shape
        self._check_shape("logits", logits, (batch, self.config.num_classes, height, width))
        self._check_shape("current", current, (batch, 3, height, width))
        self._check_shape("previous", previous, (batch, 3, height, width))
        flow = flow_on_grid(self.flow(current, previous), height, width)
        warped_logits, warped_previous, warped_labels = warp_state_reference(logits, previous, flow)
        intra_logits = None if self.intra is None else self.intra(current)
        cues = [warped_logits if intra_logits is None else intra_logits]
        edge = None
        if self.config.edge != "none":
            edge = edge_map(warped_labels, self.config.edge).to(warped_logits.dtype)
            cues.append(edge)
        mixing = self.guide(torch.cat(cues, dim=1))
        return PropagationOutput(
            logits=guided_filter(warped_logits, mixing, self.kernels(), intra_logits),
            flow=flow,
            warped_logits=warped_logits,
            warped_labels=warped_labels,
            warped_previous=warped_previous,
            intra_logits=intra_logits,
            edge=edge,
            mixing=mixing,
        )

    @staticmethod
    def _check_shape(name: str, values: Tensor, expected: tuple[int, int, int, int]) -> None:
        if values.shape != expected:
            raise ValueError(
                f"{name}: expected shape {expected}, got {tuple(values.shape)}; "
                "resize the images and the logits to one grid"
            )
