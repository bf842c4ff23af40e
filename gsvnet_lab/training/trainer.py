# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The course of a training run: steps, average, log and checkpoints."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from gsvnet_lab.training.run import Run

_SAVE_EVERY = 100
_VALIDATE_EVERY = 500


class Trainer:
    """A network that learns. It goes on where an earlier run in the folder was cut.

    Args:
        run: folder of the run.
        network: the network that learns, on its device.
        optimiser: optimiser of the network's parameters.
        schedule: learning rates of the optimiser by iteration.
        average_decay: decay of the exponential weight average that is validated and kept.
        iterations: number of optimiser steps in all.
        validate: returns figures for the log, by name, of the network with averaged weights.

    Attributes:
        start: the iteration to go on with, 0 for a new run.
    """

    def __init__(
        self,
        run: Run,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: LRScheduler,
        average_decay: float,
        iterations: int,
        validate: Callable[[nn.Module], Mapping[str, float]],
    ) -> None:
        self._run = run
        self._network = network
        self._optimiser = optimiser
        self._schedule = schedule
        self._average = weight_average(network, average_decay)
        self._iterations = iterations
        self._validate = validate
        self.start = 0
        checkpoint = run.checkpoint
        if checkpoint is not None:
            for name, part in self._parts().items():
                part.load_state_dict(checkpoint[name])
            self.start = int(checkpoint["iteration"])
        self._done = self._saved = self.start
        self._saved_at = time.monotonic()
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._progress = tqdm(range(self.start, iterations), initial=self.start, total=iterations)

    def __iter__(self) -> Iterator[int]:
        """Yield the iterations to do; each ends with one call of `step`."""
        yield from self._progress

    def step(self, losses: Mapping[str, Tensor], max_norm: float | None = None) -> None:
        """Learn from the sum of the losses; log, validate and save when it is time to.

        Args:
            losses: scalars by name.
            max_norm: longer gradients are shortened to this; None leaves them.

        Raises:
            ValueError: if a loss or a weight is not finite. The last checkpoint stays.
        """
        values = {name: float(value.detach()) for name, value in losses.items()}
        for name, number in values.items():
            # bfloat16 has the range of float32: no loss overflows in passing, as with float16.
            if not math.isfinite(number):
                raise self._diverged(f"{name} became {number}")
            self._losses[name].append(number)
        self._optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        if max_norm is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), max_norm)
        self._optimiser.step()
        if (self._done + 1) % _SAVE_EVERY == 0 or self._done + 1 == self._iterations:
            self._check_weights()
        self._schedule.step()
        self._average.update_parameters(self._network)
        self._done += 1
        if self._done % _SAVE_EVERY == 0 or self._done == self._iterations:
            self._save()

    def finish(self) -> dict[str, Tensor]:
        """Draw the curves and return the averaged weights: state dict, on the CPU."""
        self._run.plot()
        return {name: value.cpu() for name, value in self._average.module.state_dict().items()}

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | LRScheduler]:
        """Return everything whose state a checkpoint holds, by its name in the checkpoint."""
        return {
            "network": self._network,
            "average": self._average,
            "optimiser": self._optimiser,
            "schedule": self._schedule,
        }

    def _check_weights(self) -> None:
        """Check that what is about to be saved is finite: gradients may overflow after the loss."""
        for name, value in self._network.state_dict().items():
            if not torch.isfinite(value).all():
                raise self._diverged(f"{name} is not finite")

    def _diverged(self, what: str) -> ValueError:
        """Return the error of a training that cannot go on."""
        kept = (
            f"the last checkpoint there, of iteration {self._saved}, stays"
            if self._saved
            else "no checkpoint had been saved yet"
        )
        rate = max(group["lr"] for group in self._optimiser.param_groups)
        return ValueError(
            f"{self._run.folder}: training stopped: {what} in iteration {self._done + 1} of "
            f"{self._iterations}, at learning rate {rate:.3g}; {kept} and no weights are written. "
            "Lower the learning rate in the recipe and train into another folder; where that does "
            "not help, look for damaged images or labels, or start from other weights"
        )

    def _save(self) -> None:
        seconds = (time.monotonic() - self._saved_at) / (self._done - self._saved)
        figures = {name: float(np.mean(values)) for name, values in self._losses.items()}
        figures["seconds_per_iteration"] = seconds
        if self._done % _VALIDATE_EVERY == 0 or self._done == self._iterations:
            figures |= self._validate(self._average.module)
        self._losses.clear()
        self._run.log(iteration=self._done, **figures)
        self._progress.set_postfix({key: f"{value:.3f}" for key, value in figures.items()})
        states = {name: part.state_dict() for name, part in self._parts().items()}
        self._run.save({"iteration": self._done, **states})
        self._saved, self._saved_at = self._done, time.monotonic()


def weight_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a network's weights and buffers.

    `update_parameters` keeps the share `decay` of the average, less in the first updates: what a
    network was before it learned anything is forgotten soon.

    Args:
        network: the network to follow; its present weights are the first of the average.
        decay: share of the average that is kept in an update, 0 to 1.
    """

    def update(
        averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Tensor | int
    ) -> None:
        updates = int(num_averaged)
        kept = min(decay, (1 + updates) / (10 + updates))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - kept)
            else:
                mean.copy_(value)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    average.update_parameters(network)  # The first update copies.
    return average
