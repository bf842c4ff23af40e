# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a stream carries from frame to frame, and what a keyframe and a propagation make of it.

Temporal blending: the propagated logits are mixed into a new keyframe's. Two keyframes of one
scene differ most where the network is unsure, so labels flicker from one keyframe to the next;
the mean of several looks at one place flickers less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.hardware.free_cores import on_free_cores
from gsvnet_model.images.grid import GridImage
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.labels import labels_and_confidence
from gsvnet_model.ops.warp import backward_warp
from gsvnet_model.scheduling.quality import FrameQuality
from gsvnet_model.stream.advance import advance, stacked

DEFAULT_TEMPORAL_BLENDING = 0.3
"""Share at which labels flicker a fifth less; more costs accuracy faster than it steadies."""

MAX_TEMPORAL_BLENDING = 0.9
"""With a larger share, keyframes would hardly be any."""

_ALIKE = 0.5
"""Warped and new image show the same place where they differ by less, standard deviations."""

_FEWEST_ALIKE = 0.6
"""Share of such cells below which the scene is another one: in motion there are 0.75 and more,
in two unrelated images mostly less than 0.5."""


@dataclass(frozen=True)
class Decoded:
    """Labels and confidence of one frame.

    Attributes:
        labels: (H, W) uint8 class ids; read-only.
        confidence: (H, W) uint8, floor(255 * probability of the label); read-only.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


@dataclass(frozen=True)
class StreamState:
    """What one frame leaves to the next; of constant size.

    Attributes:
        size: (H, W) of the images, pixels.
        logits: (1, K, h, w) float32 on the grid.
        reference: (1, 3, h, w) normalised image that the logits belong to: that of the frame, but
            where nothing moved that of the last frame in which something did.
        pixels: (h, w, 3) grid image of the frame, RGB 0..255.
        quality: how good the labels are estimated to be.
        flow: (1, 2, h, w) of the step that led to the frame, cells; None on a keyframe.
        decoded: labels and confidence; None while they have not been decoded.
    """

    size: tuple[int, int]
    logits: Tensor
    reference: Tensor
    pixels: NDArray[np.uint8] | NDArray[np.float32]
    quality: FrameQuality
    flow: Tensor | None
    decoded: Decoded | None

    def followed_by(self, propagated: PropagatedState, image: GridImage) -> StreamState:
        """Return the state at the next frame; decoded only if nothing moved.

        Args:
            propagated: this state brought to the next frame.
            image: the next frame on the grid.
        """
        return StreamState(
            self.size,
            propagated.logits,
            propagated.reference,
            image.pixels,
            propagated.quality,
            propagated.flow,
            None if propagated.moved else self.decoded,
        )


@dataclass(frozen=True)
class PropagatedState:
    """A state brought to the next frame.

    Attributes:
        logits: (1, K, h, w) float32 on the grid.
        reference: (1, 3, h, w) normalised image that the logits belong to; see `StreamState`.
        quality: how good the labels are estimated to be.
        flow: (1, 2, h, w) of the step, cells; 0 where nothing moved.
        moved: whether any cell changed; if not, the labels decoded before still hold.
    """

    logits: Tensor
    reference: Tensor
    quality: FrameQuality
    flow: Tensor
    moved: bool


@on_free_cores
def keyframe_state(
    model: SegmentationModel,
    image: NDArray[np.uint8],
    on_grid: GridImage,
    before: StreamState | PropagatedState | None = None,
    temporal_blending: float = 0.0,
) -> tuple[Tensor, StreamState]:
    """Run the keyframe network.

    Args:
        model: the weights.
        image: (H, W, 3) uint8 RGB.
        on_grid: the image on the grid.
        before: what the stream would go on from: the state of the frame before or, propagated,
            that of this frame, which then shows how good the estimate of disagreement was.
        temporal_blending: share of the logits that is taken from `before`; 0 leaves the network's
            own logits.

    Returns:
        Logits (1, K, ., .) of the network's own resolution, which is finer than the grid, to be
        decoded; and the state, not decoded yet.
    """
    logits = model.segment(image_tensor(image, model.device))
    on_cells = model.to_grid(logits, on_grid.pixels.shape[:2])
    quality = FrameQuality()
    if isinstance(before, PropagatedState):
        quality = before.quality.renewed(observed_disagreement(before.logits, on_cells))
    elif before is not None:
        quality = before.quality.renewed()
    carried = _carried(before, on_grid) if temporal_blending else None
    if carried is not None:
        from_before, weight = carried
        logits, on_cells = blend_logits(logits, on_cells, from_before, temporal_blending * weight)
    size = (image.shape[0], image.shape[1])
    reference = on_grid.normalised
    return logits, StreamState(size, on_cells, reference, on_grid.pixels, quality, None, None)


@on_free_cores
def decode_labels(
    model: SegmentationModel, logits: Tensor, size: tuple[int, int], quality: FrameQuality
) -> Decoded:
    """Label every pixel of an image.

    Args:
        model: the weights.
        logits: (1, K, ., .), a keyframe's or those of the grid.
        size: (H, W) of the image, pixels.
        quality: how good the labels are estimated to be; the confidence follows it.
    """
    temperature = model.info.temperature_at(quality.age, quality.disagreement)
    labels, confidence = labels_and_confidence(logits[0], *size, temperature)
    for array in (labels, confidence):
        array.setflags(write=False)
    return Decoded(labels, confidence)


@on_free_cores
def propagate_states(
    model: SegmentationModel, states: Sequence[StreamState], images: Sequence[GridImage]
) -> list[PropagatedState]:
    """Bring the states of several streams of one size to their next frames.

    Args:
        model: the weights of all streams.
        states: one state per stream.
        images: the next frame of each stream, on the grid.

    Returns:
        One state per stream. Several streams are computed as one batch, which may round otherwise
        than each of them alone.
    """
    step = advance(
        model,
        stacked([state.logits for state in states]),
        stacked([state.reference for state in states]),
        stacked([image.normalised for image in images]),
    )
    return [
        PropagatedState(
            step.logits[index : index + 1],
            step.reference[index : index + 1],
            step.quality_after(model, index, state.quality),
            step.flow[index : index + 1],
            step.moved[index],
        )
        for index, state in enumerate(states)
    ]


def extrapolate(
    logits: Tensor, reference: Tensor, flow: Tensor, current: Tensor
) -> tuple[Tensor, Tensor]:
    """Move the logits of the frame before on as in the step before, without a flow network.

    Where a frame is a keyframe without having been propagated, the flow of the last step is taken
    to go on: one warp is next to nothing beside a keyframe.

    Args:
        logits: (1, K, h, w) float32.
        reference: (1, 3, h, w) normalised image that the logits belong to.
        flow: (1, 2, h, w) of the step that led to the logits, cells.
        current: (1, 3, h, w) normalised image of the frame to label.

    Returns:
        The moved logits (1, K, h, w), and their weight (1, 1, h, w): 1 where the moved image shows
        what the new one shows, else 0; 0 throughout where that is so in few places.

    Convention:
        Backward warp: out(x) = in(x + flow(x)), align_corners=True, zeros outside.
    """
    warped = backward_warp(torch.cat((logits, reference), 1), flow)
    carried, image = warped[:, : logits.shape[1]], warped[:, logits.shape[1] :]
    alike = ((image - current).abs().amax(1, keepdim=True) < _ALIKE).float()
    return carried, alike * (alike.mean() >= _FEWEST_ALIKE)


def blend_logits(
    own: Tensor, on_cells: Tensor, carried: Tensor, weight: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Mix propagated logits into those of a keyframe.

    Args:
        own: (1, K, ., .) logits of the keyframe network, which may be finer than the grid.
        on_cells: (1, K, h, w), the keyframe's logits on the grid.
        carried: (1, K, h, w) propagated logits.
        weight: of the propagated logits, 0..1; (1, 1, h, w) or one number for all cells.

    Returns:
        Both logits of the keyframe, with the propagated ones in them. What is finer than the grid
        stays.

    Convention:
        Bilinear with align_corners=True, as the keyframe's logits come to the grid.
    """
    change = weight * (carried - on_cells)
    finer = change
    if own.shape != change.shape:
        finer = F.interpolate(change, own.shape[-2:], mode="bilinear", align_corners=True)
    return own + finer, on_cells + change


def _carried(
    before: StreamState | PropagatedState | None, image: GridImage
) -> tuple[Tensor, Tensor | float] | None:
    """Return what the frames before say of this one, and how much that counts; None if nothing."""
    if isinstance(before, PropagatedState):
        return None if before.quality.is_cut else (before.logits, 1.0)
    if before is None or before.flow is None:
        return None
    return extrapolate(before.logits, before.reference, before.flow, image.normalised)


def observed_disagreement(propagated: Tensor, keyframe: Tensor) -> float:
    """Return the percent of cells that two (1, K, h, w) logits of one frame label differently."""
    differing = propagated.argmax(1) != keyframe.argmax(1)
    return 100 * float(differing.float().mean())
