# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Propagation of several streams as one batch, without one changing what another one sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from gsvnet_model.networks.propagation import PropagationOutput

Propagate: TypeAlias = Callable[[Tensor, Tensor, Tensor], PropagationOutput]
"""(N, K, h, w) state, (N, 3, h, w) current and previous image to the new state."""

_COMPARISONS = 3
"""Equal results before a batch of a shape is trusted; one may be equal by luck of rounding."""


class ExactBatches:
    """Batches of equal grids, used where every stream gets bit for bit what it gets alone.

    Libraries choose the algorithm of a convolution by its shape, batch included, and another
    algorithm may add in another order. A stream would then depend on which other cameras happened
    to have a frame. So the first batches of a shape are computed both ways and compared; where
    they differ, that shape is computed one stream after the other for good.

    Args:
        propagate: propagates a batch.
    """

    def __init__(self, propagate: Propagate) -> None:
        self._propagate = propagate
        self._equal: dict[tuple[int, ...], int] = {}
        self._differing: set[tuple[int, ...]] = set()

    def __call__(
        self,
        states: Sequence[Tensor],
        current: Sequence[Tensor],
        previous: Sequence[Tensor],
    ) -> list[PropagationOutput]:
        """Propagate the states of several streams, each to its own current frame.

        Args:
            states: (1, K, h, w) float32 each, all of one grid.
            current: (1, 3, h, w) float32 each, normalised images of the current frames.
            previous: the same of the frames before.

        Returns:
            One output per stream.
        """
        shape = (len(states), *states[0].shape[1:], torch.get_num_threads())
        if len(states) == 1 or shape in self._differing:
            return self._one_by_one(states, current, previous)
        together = _split(
            self._propagate(*(torch.cat(list(parts)) for parts in (states, current, previous)))
        )
        equal = self._equal.get(shape, 0)
        if equal == _COMPARISONS:
            return together
        alone = self._one_by_one(states, current, previous)
        if all(
            torch.equal(a.logits, b.logits) and torch.equal(a.flow, b.flow)
            for a, b in zip(alone, together, strict=True)
        ):
            self._equal[shape] = equal + 1
        else:
            self._differing.add(shape)
        return alone

    def _one_by_one(
        self, states: Sequence[Tensor], current: Sequence[Tensor], previous: Sequence[Tensor]
    ) -> list[PropagationOutput]:
        return [self._propagate(*stream) for stream in zip(states, current, previous, strict=True)]


def _split(output: PropagationOutput) -> list[PropagationOutput]:
    """Return the streams of a batch."""

    def part(values: Tensor, index: int) -> Tensor:
        return values[index : index + 1]

    return [
        PropagationOutput(
            logits=part(output.logits, index),
            flow=part(output.flow, index),
            warped_logits=part(output.warped_logits, index),
            warped_labels=part(output.warped_labels, index),
            warped_previous=part(output.warped_previous, index),
            intra_logits=None if output.intra_logits is None else part(output.intra_logits, index),
            edge=None if output.edge is None else part(output.edge, index),
            mixing=part(output.mixing, index),
        )
        for index in range(len(output.logits))
    ]
