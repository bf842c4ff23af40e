# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Batches are used only where they change nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from gsvnet_model.networks.propagation import PropagationOutput
from gsvnet_model.stream.exact_batches import ExactBatches


class Propagation:
    """A propagation that adds 1, and with batches of `differing` streams a little more."""

    def __init__(self, differing: int = 0) -> None:
        self.differing = differing
        self.batches: list[int] = []

    def __call__(self, logits: Tensor, current: Tensor, previous: Tensor) -> PropagationOutput:
        """Map the logits."""
        self.batches.append(len(logits))
        result = logits + 1 + 1e-6 * (len(logits) == self.differing)
        flow = current[:, :2] - previous[:, :2]
        labels = result.argmax(1)
        return PropagationOutput(result, flow, logits, labels, previous, None, None, current)


def streams(count: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return the states and images of some streams."""
    return (
        [torch.rand(1, 5, 4, 6) for _ in range(count)],
        [torch.rand(1, 3, 4, 6) for _ in range(count)],
        [torch.rand(1, 3, 4, 6) for _ in range(count)],
    )


def test_batch_that_equals_its_streams_is_used_once_that_is_known() -> None:
    propagation = Propagation()
    batches = ExactBatches(propagation)
    for _ in range(10):
        states, current, previous = streams(3)
        outputs = batches(states, current, previous)
        for index, output in enumerate(outputs):
            assert torch.equal(output.logits, states[index] + 1)
            assert torch.equal(output.flow, current[index][:, :2] - previous[index][:, :2])
            assert output.intra_logits is None
    assert propagation.batches[-3:] == [3, 3, 3]


def test_batch_that_differs_is_never_used() -> None:
    propagation = Propagation(differing=2)
    batches = ExactBatches(propagation)
    for _ in range(10):
        states, current, previous = streams(2)
        outputs = batches(states, current, previous)
        assert all(torch.equal(o.logits, s + 1) for o, s in zip(outputs, states, strict=True))
    assert propagation.batches[-4:] == [1, 1, 1, 1]
    assert propagation.batches.count(2) == 1


def test_single_stream_is_no_batch() -> None:
    propagation = Propagation()
    ExactBatches(propagation)(*streams(1))
    assert propagation.batches == [1]
