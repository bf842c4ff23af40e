# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""As many threads for the networks as there are cores that nobody else uses.

The threads of a convolution wait for each other at its end. Asleep, they take as long to wake up
as a small layer to compute; awake, they are quick while each has a core of its own, and stop the
frame where one has not: on two cores a 480x360 keyframe took 26 ms with two threads that wait
awake, 46 with two that sleep and 40 with one; beside a busy process more than 100, 44 and 44
(`gsvnet benchmark --beside 1`). So threads wait awake, and there are no more of them than free
cores.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

import torch

from gsvnet_model.hardware.openmp import runtime_of_torch

_Model = TypeVar("_Model", bound="_OnDevice")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_STAT = Path("/proc/stat")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")

_PERIOD_S = 0.1
"""From one look at the cores to the next: their clocks count hundredths of a second."""

_ENOUGH = 0.5
"""Share of a core that has to be free for one more thread."""


class CoreTimes(NamedTuple):
    """What the cores that this process may run on have done so far, seconds.

    Attributes:
        now: of a steady clock.
        idle: sum over the cores.
        own: in which they worked for this process.
    """

    now: float
    idle: float
    own: float


def read_core_times() -> CoreTimes | None:
    """Return the times of now; None where the system does not tell."""
    try:
        text = _STAT.read_text()
        ours = os.sched_getaffinity(0)
        second = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # not on Linux
        return None
    idle, told = 0, 0
    for line in text.splitlines():
        found = re.match(r"cpu(\d+) (.*)", line)
        if found and int(found[1]) in ours:
            # user, nice, system, idle, waiting for a disk, ... Who is nice gives way within its
            # autogroup or control group only, and a frame's threads would wait for such a core.
            fields = [int(field) for field in found[2].split()]
            idle += fields[3] + fields[4]
            told += any(fields)
    # Some containers are told of other cores than they have, or nothing of them.
    if told < len(ours):
        return None
    return CoreTimes(time.monotonic(), idle / second, time.process_time())


def allowed_cores(groups: Path = _GROUPS, own_groups: Path = _OWN_GROUPS) -> int:
    """Return how many cores this process may use, as in a container with `--cpus`; at least 1.

    A thread that waits awake uses up what its container may spend. What else runs in the container
    is not counted.
    """
    allowed = float(os.cpu_count() or 1)
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:  # not on Linux
        lines = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / "cpu" if controllers else groups
        # In a container the group's own folder may be the root of what there is to see.
        folder = root / group.lstrip("/")
        for level in (folder, *folder.parents):
            allowed = min(allowed, _quota(level, is_unified=not controllers))
            if level == root:
                break
    return max(1, int(allowed))


def _quota(group: Path, is_unified: bool) -> float:
    """Return the cores that a control group may use, infinity without a limit."""
    try:
        if is_unified:
            spent, period = (group / "cpu.max").read_text().split()
        else:
            spent, period = (
                (group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        return int(spent) / int(period) if int(spent) > 0 else math.inf
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


class FreeCores:
    """The number of cores that other processes leave free.

    Args:
        read: gives the times of now.
    """

    def __init__(self, read: Callable[[], CoreTimes | None] = read_core_times) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._before = read()
        self._count = self._most = allowed_cores()

    def count(self) -> int:
        """Return how many were free of late; at least 1."""
        before = self._before
        if before is None or time.monotonic() - before.now < _PERIOD_S:
            return self._count
        with self._lock:
            if self._before is before:  # no other thread was first
                self._before = times = self._read()
                if times is not None and times.now > before.now:
                    free = times.idle - before.idle + times.own - before.own
                    free /= times.now - before.now
                    self._count = min(self._most, max(1, int(free + 1 - _ENOUGH)))
        return self._count


@functools.cache
def _free_cores() -> FreeCores:
    return FreeCores()


class _Callers:
    """Who computes in this process at the moment, by how nice they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: Counter[int] = Counter()

    @contextlib.contextmanager
    def one_more(self) -> Iterator[int]:
        """Count the calling thread, and give the number of those that do not give way to it."""
        niceness = os.getpriority(os.PRIO_PROCESS, 0)  # on Linux that of the thread
        with self._lock:
            self._count[niceness] += 1
            rivals = sum(count for level, count in self._count.items() if level <= niceness)
        try:
            yield rivals
        finally:
            with self._lock:
                self._count[niceness] -= 1


_CALLERS = _Callers()
_HERE = threading.local()


class _OnDevice(Protocol):
    @property
    def device(self) -> torch.device: ...


def on_free_cores(
    function: Callable[Concatenate[_Model, _Parameters], _Result],
) -> Callable[Concatenate[_Model, _Parameters], _Result]:
    """Make a function of a model run with no more threads than free cores, if on the CPU.

    Threads that call at the same time share them; who gives way to others counts for himself alone.
    How many there are at most is as ever for `torch.set_num_threads` to say. Only results in
    float32 depend on it, in the last bits.
    """

    @functools.wraps(function)
    def run(model: _Model, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        threads, runtime = torch.get_num_threads(), runtime_of_torch()
        is_inside = getattr(_HERE, "is_inside", False)
        if is_inside or threads == 1 or runtime is None or model.device.type != "cpu":
            return function(model, *args, **kwargs)
        _HERE.is_inside = True
        try:
            with _CALLERS.one_more() as rivals:
                free = min(threads, max(1, _free_cores().count() // rivals))
                if free == threads:
                    return function(model, *args, **kwargs)
                # Not by torch, from which threads that begin meanwhile would take it over for good.
                with runtime.num_threads(free):
                    return function(model, *args, **kwargs)
        finally:
            _HERE.is_inside = False

    return run
