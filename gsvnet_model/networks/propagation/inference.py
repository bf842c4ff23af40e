# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The propagation step, arranged for speed; `step` is what it has to equal."""

import functools
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm
from gsvnet_model.networks.prepacked_convolution import prepack_convolutions
from gsvnet_model.networks.propagation.edge import edge_map
from gsvnet_model.networks.propagation.filtering import guided_filter
from gsvnet_model.networks.propagation.flow import flow_on_grid
from gsvnet_model.networks.propagation.guide import EPSILON
from gsvnet_model.networks.propagation.step import PropagationNetwork, PropagationOutput
from gsvnet_model.networks.propagation.upsampled_convolution import UpsampledConvolution
from gsvnet_model.networks.propagation.warp import backward_warp
from gsvnet_model.ops.cpu.loops import as_numpy, fill_rows
from gsvnet_model.ops.cpu.propagation import mix_rows, warp_rows
from gsvnet_model.ops.cuda.checked_kernel import CheckedKernel

_Network = TypeVar("_Network", bound=nn.Module)

_CELLS_PER_THREAD = 1 << 13
"""Smaller grids are not worth a second thread."""


class PropagationInference:
    """A propagation network without gradients: any configuration, batch and grid.

    Batch normalisation is folded and the convolutions run in a precision of choice; on the CPU
    their weights are packed, and warp, filter and the guide's upsampling are compiled loops. The
    state, the flow, the warp and the mixing stay in float32, because the state is fed back from
    frame to frame.

    Args:
        network: the network as trained, on its device; it is not changed.
        precision: dtype of the convolutions.
    """

    def __init__(self, network: PropagationNetwork, precision: torch.dtype) -> None:
        self.config = network.config
        self.precision = precision
        self.flow = prepack_convolutions(self._prepared(network.flow))
        self.intra = None if network.intra is None else self._prepared(network.intra)
        if self.intra is not None:
            if self.config.edge != "none":
                self.intra.head = _with_room(self.intra.head)
            prepack_convolutions(self.intra)
        guide = self._prepared(network.guide)
        self.upsampled = tuple(
            UpsampledConvolution(block.get_submodule("conv")) for block in guide.decoder
        )
        self.encoder, self.head = (
            prepack_convolutions(guide.encoder),
            prepack_convolutions(guide.head),
        )
        self.kernels = network.kernels().detach().float()

    def _prepared(self, network: _Network) -> _Network:
        copied = fuse_batch_norm(network).to(self.precision)
        copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return copied

    @torch.inference_mode()
    def __call__(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Propagate the logits of the previous frame to the current frame.

        Args:
            logits: Logits of the previous frame (N, K, h, w), float32, no softmax.
            current: Normalised RGB image of the current frame on the grid (N, 3, h, w), float32.
            previous: The same of the frame just before, which need not be the keyframe.

        Returns:
            As `PropagationNetwork`; float32 but for the intra logits, which are of the precision.

        Raises:
            ValueError: If the shapes do not fit together.

        Convention:
            as `PropagationNetwork`.
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
        padded, warped_previous, labels = _warp(logits, previous, flow, radius)
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
        mixing, mixed = _mix(padded, intra_cues, self.scores(cues), self.kernels)
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

    def scores(self, cues: Tensor) -> Tensor:
        """Return the guide's (N, S, h, w) scores before they are normalised."""
        to_half, to_full = self.upsampled
        full: Tensor = self.encoder[0](cues)
        half: Tensor = self.encoder[1](full)
        decoded = to_half(self.encoder[2](half), (half.shape[2], half.shape[3]))
        decoded = to_full(decoded, (full.shape[2], full.shape[3]), full)
        scores: Tensor = self.head(decoded)
        return scores


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


def _warp(
    logits: Tensor, image: Tensor, flow: Tensor, radius: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the warped logits in a frame of zeros, the warped image and the winning classes.

    Convention:
        as `backward_warp`.

    Args:
        logits: (N, K, h, w) float32.
        image: (N, 3, h, w) float32.
        flow: (N, 2, h, w) float32, cells.
        radius: width of the frame of zeros.

    Returns:
        (N, K, h + 2 radius, w + 2 radius) float32, (N, 3, h, w) float32, (N, h, w) int32.
    """
    batch, num_classes, height, width = logits.shape
    frame = (radius, radius, radius, radius)
    if logits.device.type != "cpu":
        warped = backward_warp(torch.cat((logits, image), dim=1), flow)
        warped_logits = warped[:, :num_classes]
        labels = warped_logits.argmax(dim=1).to(torch.int32)
        return F.pad(warped_logits, frame), warped[:, num_classes:], labels
    padded = np.zeros((batch, num_classes, height + 2 * radius, width + 2 * radius), np.float32)
    warped_image = np.empty((batch, image.shape[1], height, width), np.float32)
    winners = np.empty((batch, height, width), np.int32)
    loop = functools.partial(
        warp_rows,
        logits.contiguous().flatten(2).numpy(),
        image.contiguous().flatten(2).numpy(),
        flow.contiguous().numpy(),
        radius,
        padded,
        warped_image,
        winners,
    )
    fill_rows(loop, batch * height, 1 + winners.size // _CELLS_PER_THREAD)
    return torch.from_numpy(padded), torch.from_numpy(warped_image), torch.from_numpy(winners)


def _mix(
    padded: Tensor, intra_cues: Tensor | None, scores: Tensor, kernels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mixing weights and the new logits.

    Convention:
        as `guided_filter`.

    Args:
        padded: warped logits (N, K, h + size - 1, w + size - 1) float32, zeros around.
        intra_cues: (N, K or more, h, w) of the precision, the intra logits first; None if there
            is no such slot.
        scores: (N, S, h, w) of the precision, not negative.
        kernels: (D, size, size) float32.

    Returns:
        (N, S, h, w) and (N, K, h, w), float32.
    """
    if scores.is_cuda:
        return _mix_with_kernel(padded, intra_cues, scores, kernels)
    if scores.device.type != "cpu":
        return mix_plainly(padded, intra_cues, scores, kernels)
    batch, num_slots, height, width = scores.shape
    num_classes = padded.shape[1]
    if intra_cues is None:
        intra_cues = scores[:, :0]
    weights = np.empty((batch, num_slots, height, width), np.float32)
    mixed = np.empty((batch, num_classes, height, width), np.float32)
    loop = functools.partial(
        mix_rows,
        padded.numpy(),
        as_numpy(intra_cues.permute(0, 2, 3, 1).contiguous()),
        as_numpy(scores.permute(0, 2, 3, 1).contiguous()),
        kernels.numpy(),
        EPSILON,
        weights,
        mixed,
    )
    fill_rows(loop, batch * height, 1 + batch * height * width // _CELLS_PER_THREAD)
    return torch.from_numpy(weights), torch.from_numpy(mixed)


def mix_plainly(
    padded: Tensor, intra_cues: Tensor | None, scores: Tensor, kernels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mixing weights and new logits map by map, on any device; see `_mix`."""
    height, width = scores.shape[-2:]
    radius = kernels.shape[-1] // 2
    scores = scores.float()
    mixing = scores / (scores.sum(dim=1, keepdim=True) + EPSILON)
    warped = padded[..., radius : radius + height, radius : radius + width]
    intra = None if intra_cues is None else intra_cues[:, : padded.shape[1]].float()
    return mixing, guided_filter(warped, mixing, kernels, intra)


def _load_mix_kernel() -> Callable[..., tuple[Tensor, Tensor]]:
    from gsvnet_model.ops.cuda.mix import mix

    return mix


def _agree(got: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    """Return whether weights and logits are alike but for rounding."""
    return all(
        torch.allclose(a, b, rtol=0, atol=1e-4 * float(b.abs().max()))
        for a, b in zip(got, expected, strict=True)
    )


_mix_with_kernel = CheckedKernel(mix_plainly, _load_mix_kernel, _agree)


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
