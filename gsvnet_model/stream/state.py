# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a stream carries from frame to frame, and how a propagation changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.hardware.free_cores import on_free_cores
from gsvnet_model.images.grid import GridImage
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.labels import labels_and_confidence
from gsvnet_model.scheduling import (
    FrameQuality,
    changed_cells,
    frame_signals,
    observed_disagreement,
    where_moving,
)
from gsvnet_model.stream.carry_over import mixed_in, moved_on


@dataclass(frozen=True)
class StreamState:
    """What one frame leaves to the next; of constant size.

    Attributes:
        size: (H, W) of the images.
        logits: (1, K, h, w) on the grid, float32.
        reference: (1, 3, h, w) normalised image that the logits belong to: of the frame, but
            where nothing moved of the last one in which something did.
        pixels: (h, w, 3) grid image of the frame, pixels levels.
        quality: of the labels.
        flow: (1, 2, h, w) of the step that led to the frame, cells; None on a keyframe.
        published: labels and confidence, (H, W) uint8 each, read-only; None while they have not
            been asked for.
    """

    size: tuple[int, int]
    logits: Tensor
    reference: Tensor
    pixels: NDArray[np.uint8] | NDArray[np.float32]
    quality: FrameQuality
    flow: Tensor | None
    published: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None


@dataclass(frozen=True)
class PropagatedState:
    """A state brought to the next frame.

    Attributes:
        logits: (1, K, h, w).
        reference: as in `StreamState`.
        quality: of the labels.
        flow: as in `StreamState`; 0 where nothing moved.
        moved: whether anything changed; if not, the labels published before still hold.
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
    carry_over: float = 0.0,
) -> tuple[Tensor, StreamState]:
    """Run the keyframe network.

    Args:
        model: the weights.
        image: (H, W, 3) uint8 RGB.
        on_grid: the same on the grid.
        before: what the stream would go on from: the frame before or, propagated, this one, which
            then shows how good the estimate of disagreement was.
        carry_over: share of the logits that is taken from there; 0 leaves the network's own.

    Returns:
        Logits (1, K, ., .) of the network's own resolution, which is finer than the grid, to be
        published, and the state, not published yet.
    """
    logits = model.segment(image_tensor(image, model.device))
    on_cells = model.to_grid(logits, on_grid.pixels.shape[:2])
    quality = FrameQuality()
    if isinstance(before, PropagatedState):
        quality = before.quality.renewed(observed_disagreement(before.logits, on_cells))
    elif before is not None:
        quality = before.quality.renewed()
    carried = _carried(before, on_grid) if carry_over else None
    if carried is not None:
        from_before, weight = carried
        logits, on_cells = mixed_in(logits, on_cells, from_before, carry_over * weight)
    size = (image.shape[0], image.shape[1])
    reference = on_grid.normalised
    return logits, StreamState(size, on_cells, reference, on_grid.pixels, quality, None, None)


def _carried(
    before: StreamState | PropagatedState | None, image: GridImage
) -> tuple[Tensor, Tensor | float] | None:
    """Return what the frames before say of this one, and how much that counts; None if nothing."""
    if isinstance(before, PropagatedState):
        return None if before.quality.is_cut else (before.logits, 1.0)
    if before is None or before.flow is None:
        return None
    return moved_on(before.logits, before.reference, before.flow, image.normalised)


@on_free_cores
def publish(
    model: SegmentationModel, logits: Tensor, size: tuple[int, int], quality: FrameQuality
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return labels and confidence, (H, W) uint8 and read-only, of (1, K, ., .) logits.

    Args:
        model: the weights.
        logits: of a keyframe or on the grid.
        size: (H, W).
        quality: of the labels; the confidence follows it.
    """
    temperature = model.info.temperature_at(quality.age, quality.disagreement)
    arrays = labels_and_confidence(logits[0], *size, temperature)
    for array in arrays:
        array.setflags(write=False)
    return arrays


def advanced(state: StreamState, propagated: PropagatedState, image: GridImage) -> StreamState:
    """Return the state at the next frame; not published, unless nothing moved."""
    return StreamState(
        state.size,
        propagated.logits,
        propagated.reference,
        image.pixels,
        propagated.quality,
        propagated.flow,
        None if propagated.moved else state.published,
    )


@on_free_cores
def propagate_states(
    model: SegmentationModel, states: Sequence[StreamState], images: Sequence[GridImage]
) -> list[PropagatedState]:
    """Bring the states of several streams of one size to their next frames.

    Cells in which nothing moves keep what they have; see `stillness`. Where nothing moves at
    all, nothing is computed.

    Args:
        model: the weights of all streams.
        states: one per stream.
        images: the next frames.

    Returns:
        One state per stream, each as if its stream were alone.
    """
    moving = [
        changed_cells(image.normalised, state.reference)
        for state, image in zip(states, images, strict=True)
    ]
    # In one transfer: each one waits for the device.
    moved: list[bool] = torch.stack([cells.any() for cells in moving]).tolist()
    alive = [index for index, moves in enumerate(moved) if moves]
    outputs = dict(
        zip(
            alive,
            model.propagate_streams(
                [states[index].logits for index in alive],
                [images[index].normalised for index in alive],
                [states[index].reference for index in alive],
            )
            if alive
            else (),
            strict=True,
        )
    )
    propagated = []
    estimate = model.info.quality
    for index, (state, image) in enumerate(zip(states, images, strict=True)):
        if not moved[index]:
            quality = state.quality.after(estimate, None)
            still = state.logits.new_zeros((1, 2, *state.logits.shape[-2:]))
            propagated.append(PropagatedState(state.logits, state.reference, quality, still, False))
            continue
        output, cells, current = outputs[index], moving[index], image.normalised
        signals = (
            frame_signals(output, current, state.reference, state.logits, cells)[0]
            if estimate.is_fitted
            else None
        )
        propagated.append(
            PropagatedState(
                where_moving(cells, output.logits, state.logits),
                where_moving(cells, current, state.reference),
                state.quality.after(estimate, signals),
                output.flow * cells,
                True,
            )
        )
    return propagated
