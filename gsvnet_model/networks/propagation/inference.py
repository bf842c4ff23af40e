# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The propagation step, arranged for speed; `step` is what it has to equal."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm
from gsvnet_model.networks.prepacked_convolution import prepack_convolutions
from gsvnet_model.networks.propagation.edge import edge_map
from gsvnet_model.networks.propagation.flow import flow_on_grid
from gsvnet_model.networks.propagation.guide import GuideNetwork
from gsvnet_model.networks.propagation.step import PropagationNetwork, PropagationOutput
from gsvnet_model.ops.mix import mix
from gsvnet_model.ops.upsampled_convolution import UpsampledConvolution
from gsvnet_model.ops.warp import warp_state

_Network = TypeVar("_Network", bound=nn.Module)


class PropagationInference:
    """A propagation network without gradients: any configuration, batch and grid.

    Batch normalisation is fused and the convolutions run in a precision of choice; on the CPU
    their weights are packed. Warp, mixing and the guide's upsampling are left to `ops`. The
    state, the flow, the warp and the mixing stay in float32, because the state is fed back from
    frame to frame.

    Args:
        network: the network as trained, on its device; it is not changed.
        precision: dtype of the convolutions.
    """

    def __init__(self, network: PropagationNetwork, precision: torch.dtype) -> None:
        self.config = network.config
        self.precision = precision
        self.flow = prepack_convolutions(prepared(network.flow, precision))
        self.intra = None if network.intra is None else prepared(network.intra, precision)
        if self.intra is not None:
            if self.config.edge != "none":
                self.intra.head = _with_room(self.intra.head)
            prepack_convolutions(self.intra)
        self.scores = GuideInference(network.guide, precision)
        self.kernels = network.kernels().detach().float()

    @torch.inference_mode()
    def __call__(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Propagate the logits of the previous frame to the current frame.

        Args:
            logits: Logits of the previous frame (N, K, h, w), float32, no softmax.
            current: Normalised RGB image of the current frame on the grid (N, 3, h, w), float32.
            previous: Normalised RGB image of the frame just before, which need not be the
                keyframe, on the grid (N, 3, h, w), float32.

        Returns:
            What `PropagationNetwork` returns; float32 but for the intra logits, which have the
            dtype of the convolutions.

        Raises:
            ValueError: If the shapes do not fit together.

        Convention:
            see `PropagationNetwork.forward`.
        """
        _check_shapes(self.config.num_classes, logits, current, previous)
        images = [
            image.to(self.precision, memory_format=torch.channels_last)
            for image in (current, previous)
        ]
        # In planes: interpolating two interleaved channels is ten times slower.
        raw_flow = self.flow(*images).to(torch.float32, memory_format=torch.contiguous_format)
        flow = flow_on_grid(raw_flow, *logits.shape[-2:])
        radius = self.kernels.shape[-1] // 2
        padded, warped_previous, labels = warp_state(logits, previous, flow, radius)
        rows, columns = (slice(radius, radius + side) for side in logits.shape[-2:])
        warped_logits = padded[..., rows, columns]
        edge = None if self.config.edge == "none" else edge_map(labels, self.config.edge)
        intra_logits = None
        if self.intra is not None:
            cues = self.intra(images[0])
            intra_logits = cues[:, : self.config.num_classes]
            if edge is not None:
                cues[:, self.config.num_classes :] = edge
        else:
            maps = (warped_logits,) if edge is None else (warped_logits, edge)
            cues = torch.cat(maps, dim=1).to(self.precision, memory_format=torch.channels_last)
        intra_cues = None if self.intra is None else cues
        mixing, mixed = mix(padded, intra_cues, self.scores(cues), self.kernels)
        return PropagationOutput(
            logits=mixed,
            flow=flow,
            warped_logits=warped_logits,
            warped_labels=labels,
            warped_previous=warped_previous,
            intra_logits=intra_logits,
            edge=edge,
            mixing=mixing,
        )


class GuideInference:
    """A guiding network without gradients; its convolutions run in a precision of choice."""

    def __init__(self, guide: GuideNetwork, precision: torch.dtype) -> None:
        guide = prepared(guide, precision)
        self.upsampled = tuple(
            UpsampledConvolution(block.get_submodule("conv")) for block in guide.decoder
        )
        self.encoder, self.head = (
            prepack_convolutions(guide.encoder),
            prepack_convolutions(guide.head),
        )

    def __call__(self, cues: Tensor) -> Tensor:
        """Return the (N, S, h, w) scores before they are normalised."""
        to_half, to_full = self.upsampled
        full: Tensor = self.encoder[0](cues)
        half: Tensor = self.encoder[1](full)
        decoded = to_half(self.encoder[2](half), (half.shape[2], half.shape[3]))
        decoded = to_full(decoded, (full.shape[2], full.shape[3]), full)
        scores: Tensor = self.head(decoded)
        return scores


def prepared(network: _Network, precision: torch.dtype) -> _Network:
    """Return a copy with batch normalisation folded, channels last, in a precision."""
    copied = fuse_batch_norm(network).to(precision)
    copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied


def _with_room(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution that leaves room for one more channel behind its own."""
    wide = nn.Conv2d(
        layer.in_channels,
        layer.out_channels + 1,
        layer.kernel_size,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
    ).to(layer.weight)
    wide.weight = nn.Parameter(F.pad(layer.weight, (0, 0, 0, 0, 0, 0, 0, 1)), False)
    wide.bias = None if layer.bias is None else nn.Parameter(F.pad(layer.bias, (0, 1)), False)
    return wide


def _check_shapes(num_classes: int, logits: Tensor, current: Tensor, previous: Tensor) -> None:
    batch, _, height, width = logits.shape
    for name, values, channels in (
        ("logits", logits, num_classes),
        ("current", current, 3),
        ("previous", previous, 3),
    ):
        if values.shape != (batch, channels, height, width):
            raise ValueError(
                f"{name}: expected shape {(batch, channels, height, width)}, got "
                f"{tuple(values.shape)}; resize the images and the logits to one grid"
            )
