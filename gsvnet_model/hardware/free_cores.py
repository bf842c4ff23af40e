# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Thread policy: no more threads for the networks than there are idle cores.

Worker threads spin between layers. That is fast only on idle cores, so the library starts no more
threads than there are idle cores. A worker that sleeps takes as long to wake up as a small layer
takes to compute; a worker that spins without a core of its own stops the whole frame. On two cores
a 480x360 keyframe took 26 ms with two threads that spin, 46 ms with two that sleep and 40 ms with
one; beside a busy process it took more than 100, 44 and 44 ms (`gsvnet benchmark --beside 1`).

The core times are read from /proc/stat and not from psutil, which gives them without the numbers of
the cores: where a core is offline, or a container is shown other cores than its own, they could
not be matched with the cores that this process may use. Limits of control groups psutil does not
know at all.
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
"""Seconds between two readings of the core times, which have a resolution of 0.01 s."""

_IDLE_SHARE = 0.5
"""Share of its time that a core has to be idle for one more thread."""


class CoreTimes(NamedTuple):
    """Time of the cores that this process may run on, in seconds since some moment in the past.

    Attributes:
        now: time of a monotonic clock.
        idle: idle time, summed over the cores.
        own: time that the cores worked for this process, summed over the cores.
    """

    now: float
    idle: float
    own: float


def read_core_times(stat: Path = _STAT) -> CoreTimes | None:
    """Return the core times as of now.

    Args:
        stat: the file of the core times; another one in tests.

    Returns:
        None where the system has no such file (Linux has), or where the file lacks one of the
        cores that this process may run on.
    """
    try:
        text = stat.read_text()
        ours = os.sched_getaffinity(0)
        second = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # not on Linux
        return None
    idle, num_listed = 0, 0
    for line in text.splitlines():
        found = re.match(r"cpu(\d+) (.*)", line)
        if found and int(found[1]) in ours:
            # user, nice, system, idle, iowait, ... Time of niced processes is not idle time: they
            # give way within their own autogroup or control group only, so a thread of a frame
            # would have to wait for their core.
            fields = [int(field) for field in found[2].split()]
            idle += fields[3] + fields[4]
            num_listed += any(fields)
    # Some containers are shown other cores than they may use, or cores with zeros.
    if num_listed < len(ours):
        return None
    return CoreTimes(time.monotonic(), idle / second, time.process_time())


def allowed_cores(groups: Path = _GROUPS, own_groups: Path = _OWN_GROUPS) -> int:
    """Return how many cores the control groups of this process allow, as `docker run --cpus` sets.

    A thread that spins uses up the processor time that its container may spend. Processor time of
    other processes in the same container is not considered.

    Args:
        groups: folder of the control groups; another one in tests.
        own_groups: file with the control groups of this process; another one in tests.

    Returns:
        At least 1; all cores where no control group sets a limit.
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
        # In a container the folder of the group may itself be the root of what is visible.
        folder = root / group.lstrip("/")
        for level in (folder, *folder.parents):
            allowed = min(allowed, _quota(level, is_unified=not controllers))
            if level == root:
                break
    return max(1, int(allowed))


def _quota(group: Path, is_unified: bool) -> float:
    """Return how many cores a control group allows, a fraction as well; infinity for no limit.

    Args:
        group: folder of the group.
        is_unified: whether the group is of version 2 of control groups.
    """
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
    """The number of cores that other processes leave idle, read anew every 0.1 s at most.

    Args:
        read: returns the core times as of now, or None where they are not known; then all allowed
            cores count as idle.
    """

    def __init__(self, read: Callable[[], CoreTimes | None] = read_core_times) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._before = read()
        self._count = self._most = allowed_cores()

    def count(self) -> int:
        """Return the number of cores that were idle, or worked for this process; at least 1."""
        before = self._before
        if before is None or time.monotonic() - before.now < _PERIOD_S:
            return self._count
        with self._lock:
            if self._before is before:  # no other thread has read them meanwhile
                self._before = times = self._read()
                if times is not None and times.now > before.now:
                    free = times.idle - before.idle + times.own - before.own
                    free /= times.now - before.now
                    self._count = min(self._most, max(1, int(free + 1 - _IDLE_SHARE)))
        return self._count


@functools.cache
def cores_of_process() -> FreeCores:
    """Return the count of idle cores that all threads of this process share."""
    return FreeCores()


class _Callers:
    """The threads of this process that are inside `on_free_cores`, counted by niceness."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: Counter[int] = Counter()

    @contextlib.contextmanager
    def one_more(self) -> Iterator[int]:
        """Count the calling thread inside a `with` block.

        Yields:
            The number of threads that compute and have the same priority or a higher one, the
            calling thread included: a lower-priority caller is not counted by the others.
        """
        niceness = os.getpriority(os.PRIO_PROCESS, 0)  # on Linux the niceness of the thread
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
    """Make a function of a model compute with no more threads than idle cores, if on the CPU.

    Callers in several threads share the idle cores; a lower-priority caller is not counted by the
    others. `torch.set_num_threads` sets the maximum, as always. Only float32 results depend on the
    number of threads, in the last bits.

    Args:
        function: takes the model as its first argument, which has a `device`.
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
                free = min(threads, max(1, cores_of_process().count() // rivals))
                if free == threads:
                    return function(model, *args, **kwargs)
                # Not by torch.set_num_threads: threads that start meanwhile would keep that number.
                with runtime.num_threads(free):
                    return function(model, *args, **kwargs)
        finally:
            _HERE.is_inside = False

    return run
