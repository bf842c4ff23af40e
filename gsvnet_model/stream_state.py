# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a stream carries from frame to frame, and how a propagation changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.labels import labels_and_confidence
from gsvnet_model.model import SegmentationModel
from gsvnet_model.preprocessing import GridImage, image_tensor
from gsvnet_model.scheduling import (
    FrameQuality,
    frame_signals,
    held,
    moving_cells,
    observed_disagreement,
)


@dataclass(frozen=True)
class StreamState:
    """What one frame leaves to the next; of constant size.

    Attributes:
        size: (H, W) of the images.
        logits: (1, K, h, w) on the grid, float32.
        reference: (1, 3, h, w) normalised image that the logits belong to: of the frame, but
            where nothing moved of the last one in which something did.
        grey: (h, w, 3) grid image of the frame, grey levels.
        quality: of the labels.
        published: labels and confidence, (H, W) uint8 each, read-only; None while they have not
            been asked for.
    """

    size: tuple[int, int]
    logits: Tensor
    reference: Tensor
    grey: NDArray[np.uint8] | NDArray[np.float32]
    quality: FrameQuality
    published: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None


@dataclass(frozen=True)
class PropagatedState:
    """A state brought to the next frame.

    Attributes:
        logits: (1, K, h, w).
        reference: as in `StreamState`.
        quality: of the labels.
        moved: whether anything changed; if not, the labels published before still hold.
    """

    logits: Tensor
    reference: Tensor
    quality: FrameQuality
    moved: bool


def keyframe_state(
    model: SegmentationModel,
    image: NDArray[np.uint8],
    on_grid: GridImage,
    before: StreamState | PropagatedState | None = None,
) -> tuple[Tensor, StreamState]:
    """Run the keyframe network.

    Args:
        model: the weights.
        image: (H, W, 3) uint8 RGB.
        on_grid: the same on the grid.
        before: what the stream would go on from: the frame before or, propagated, this one, which
            then shows how good the estimate of disagreement was.

    Returns:
        The network's own logits (1, K, ., .), which are finer than the grid and to be published,
        and the state, not published yet.
    """
    logits = model.segment(image_tensor(image, model.device))
    on_cells = model.to_grid(logits, on_grid.grey.shape[:2])
    quality = FrameQuality()
    if isinstance(before, PropagatedState):
        quality = before.quality.renewed(observed_disagreement(before.logits, on_cells))
    elif before is not None:
        quality = before.quality.renewed()
    size = (image.shape[0], image.shape[1])
    return logits, StreamState(size, on_cells, on_grid.normalised, on_grid.grey, quality, None)


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
        image.grey,
        propagated.quality,
        None if propagated.moved else state.published,
    )


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
        moving_cells(image.normalised, state.reference)
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
            propagated.append(PropagatedState(state.logits, state.reference, quality, False))
            continue
        output, cells, current = outputs[index], moving[index], image.normalised
        signals = (
            frame_signals(output, current, state.reference, state.logits, cells)[0]
            if estimate.is_fitted
            else None
        )
        propagated.append(
            PropagatedState(
                held(cells, output.logits, state.logits),
                held(cells, current, state.reference),
                state.quality.after(estimate, signals),
                True,
            )
        )
    return propagated
