# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One propagation step of one or several streams: the only loop body there is.

The stream, the evaluation and the policy study advance their states here, the benchmark without a
host through `advance_cells`.

See: paper Sec. 3 (framework overview).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.hardware.free_cores import on_free_cores
from gsvnet_model.model import Propagate, SegmentationModel
from gsvnet_model.networks.propagation import PropagationOutput
from gsvnet_model.ops.changed_cells import changed_cells, where_moving
from gsvnet_model.scheduling.quality import FrameQuality
from gsvnet_model.scheduling.signals import SIGNAL_NAMES, frame_signals


@dataclass(frozen=True)
class Advanced:
    """The states of N streams one frame later.

    Attributes:
        logits: (N, K, h, w) float32 on the grid.
        reference: (N, 3, h, w) normalised image that the logits belong to: the current one in
            cells that moved, elsewhere the one of the last frame in which they did.
        flow: (N, 2, h, w), (dx, dy) in cells, current to previous; 0 where nothing moved.
        moved: for each stream whether any of its cells moved. If none did, its labels still hold.
        signals: (N, 9) in the order of `SIGNAL_NAMES`, 0 for streams in which nothing moved; None
            if they were not measured.
    """

    logits: Tensor
    reference: Tensor
    flow: Tensor
    moved: tuple[bool, ...]
    signals: NDArray[np.float64] | None

    def quality_after(
        self, model: SegmentationModel, index: int, quality: FrameQuality
    ) -> FrameQuality:
        """Return the quality of one stream's labels after this step.

        Args:
            model: the weights, whose estimate is asked.
            index: of the stream in the batch.
            quality: of the stream's labels before the step.
        """
        if self.signals is None or not self.moved[index]:
            return quality.after(model.info.quality, None)
        return quality.after(model.info.quality, self.signals[index])


@on_free_cores
@torch.inference_mode()
def advance(
    model: SegmentationModel,
    logits: Tensor,
    reference: Tensor,
    current: Tensor,
    measure_signals: bool | None = None,
) -> Advanced:
    """Carry the logits of N streams of one size to their current frames.

    Static-cell gating: cells in which nothing moves keep their logits, and a stream in which no
    cell moves is not computed at all.

    Args:
        model: the weights of all streams.
        logits: (N, K, h, w) float32, of the frames before.
        reference: (N, 3, h, w) normalised grid images that the logits belong to.
        current: (N, 3, h, w) normalised grid images of the current frames.
        measure_signals: whether to measure the step's signals; None measures them if the weights
            carry an estimate that reads them.
    """
    moving = changed_cells(current, reference)
    moved: list[bool] = moving.flatten(1).any(1).tolist()  # the one wait for a device
    alive = [index for index, moves in enumerate(moved) if moves]
    if measure_signals is None:
        measure_signals = model.info.quality.is_fitted
    signals = np.zeros((len(moved), len(SIGNAL_NAMES))) if measure_signals else None
    if not alive:
        still = logits.new_zeros((len(moved), 2, *logits.shape[-2:]))
        return Advanced(logits, reference, still, tuple(moved), signals)
    batch = (logits, reference, current, moving)
    if len(alive) < len(moved):
        batch = (logits[alive], reference[alive], current[alive], moving[alive])
    cells, output = advance_cells(model.propagate, *batch)
    if signals is not None:
        signals[alive] = frame_signals(output, batch[2], batch[1], batch[0], batch[3])
    if len(alive) == len(moved):
        return Advanced(*cells, tuple(moved), signals)
    of_all = (logits.clone(), reference.clone(), logits.new_zeros(len(moved), *cells[2].shape[1:]))
    for values, new in zip(of_all, cells, strict=True):
        values[alive] = new
    return Advanced(*of_all, tuple(moved), signals)


def advance_cells(
    propagate: Propagate, logits: Tensor, reference: Tensor, current: Tensor, moving: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], PropagationOutput]:
    """Propagate, and keep what stands still; nothing here waits for a device.

    Args:
        propagate: the propagation network.
        logits: (N, K, h, w) float32, of the frames before.
        reference: (N, 3, h, w) normalised grid images that the logits belong to.
        current: (N, 3, h, w) normalised grid images of the current frames.
        moving: (N, 1, h, w) bool of `changed_cells`.

    Returns:
        New logits, new reference and the flow of the moving cells, and all that the network gave.
    """
    output = propagate(logits, current, reference)
    cells = (
        where_moving(moving, output.logits, logits),
        where_moving(moving, current, reference),
        output.flow * moving,
    )
    return cells, output


def stacked(values: Sequence[Tensor]) -> Tensor:
    """Return (1, ...) tensors as one batch; a single one is not copied."""
    return values[0] if len(values) == 1 else torch.cat(list(values))
