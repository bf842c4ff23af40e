# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""For the tests: training runs that are cut, and the learning rates of a schedule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from gsvnet_lab.training.trainer import Trainer


class CutError(Exception):
    """The training was cut."""


@contextlib.contextmanager
def cut_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> Iterator[None]:
    """Cut trainings in this block before the step that follows so many."""
    done: list[object] = []
    step = Trainer.step

    def counted(self: Trainer, *arguments: object) -> None:
        if len(done) == steps:
            raise CutError
        done.append(None)
        step(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", counted)
        yield


def rates_of(
    optimiser: torch.optim.Optimizer, schedule: LRScheduler, iterations: int
) -> list[list[float]]:
    """Return the learning rate of every group of an optimiser by iteration."""
    rates = []
    for _ in range(iterations):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        schedule.step()
    return rates
