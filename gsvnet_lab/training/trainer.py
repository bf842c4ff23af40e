# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The course of a training run: steps, average, log and checkpoints."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from gsvnet_lab.training.run import Run, WeightAverage

_SAVE_EVERY = 100
_VALIDATE_EVERY = 500


class Trainer:
    """A network that learns; goes on where an earlier run in the folder was cut.

    Args:
        run: the run.
        network: what learns, on its device.
        optimiser: of its parameters; the caller sets the learning rate.
        average_decay: of the weight average that is validated and kept.
        iterations: steps in all.
        validate: figures of the averaged weights, for the log.

    Attributes:
        start: the iteration to go on with, 0 for a new run.
    """

    def __init__(
        self,
        run: Run,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        average_decay: float,
        iterations: int,
        validate: Callable[[Mapping[str, Tensor]], Mapping[str, float]],
    ) -> None:
        self._run = run
        self._network = network
        self._optimiser = optimiser
        self._average = WeightAverage(network, average_decay)
        self._iterations = iterations
        self._validate = validate
        self.start = 0
        checkpoint = run.checkpoint
        if checkpoint is not None:
            network.load_state_dict(checkpoint["network"])
            optimiser.load_state_dict(checkpoint["optimiser"])
            for name, value in checkpoint["average"].items():
                self._average.state[name].copy_(value)  # to the network's device
            self._average.updates = self.start = int(checkpoint["iteration"])
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
        """
        self._optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        if max_norm is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), max_norm)
        self._optimiser.step()
        self._average.update(self._network)
        for name, value in losses.items():
            self._losses[name].append(float(value.detach()))
        self._done += 1
        if self._done % _SAVE_EVERY == 0 or self._done == self._iterations:
            self._save()

    def finish(self) -> dict[str, Tensor]:
        """Draw the curves and return the averaged weights: state dict, on the CPU."""
        self._run.plot()
        return {name: value.cpu() for name, value in self._average.state.items()}

    def _save(self) -> None:
        seconds = (time.monotonic() - self._saved_at) / (self._done - self._saved)
        figures = {name: float(np.mean(values)) for name, values in self._losses.items()}
        figures["seconds_per_iteration"] = seconds
        if self._done % _VALIDATE_EVERY == 0 or self._done == self._iterations:
            figures |= self._validate(self._average.state)
        self._losses.clear()
        self._run.log(iteration=self._done, **figures)
        self._progress.set_postfix({key: f"{value:.3f}" for key, value in figures.items()})
        self._run.save(
            {
                "iteration": self._done,
                "network": self._network.state_dict(),
                "average": self._average.state,
                "optimiser": self._optimiser.state_dict(),
            }
        )
        self._saved, self._saved_at = self._done, time.monotonic()
