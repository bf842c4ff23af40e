# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Threads and the cores that other processes leave free."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gsvnet_lab.benchmark.beside import busy_processes
from gsvnet_model.hardware import free_cores
from gsvnet_model.hardware.free_cores import CoreTimes, FreeCores, on_free_cores

PATIENCE_S = 60.0
"""What takes milliseconds on a quiet machine has this long."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of its cores")
CPU = SimpleNamespace(device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@on_free_cores
def seen_threads(model: SimpleNamespace) -> int:
    return torch.get_num_threads()


@pytest.mark.parametrize(
    ("idle", "own", "free"),
    [
        (4.0, 0.0, 4),  # nobody works
        (1.0, 3.0, 4),  # we alone do
        (0.0, 3.0, 3),  # somebody else has a core
        (2.7, 1.0, 4),  # somebody else has a little
        (2.4, 1.0, 3),
        (0.0, 0.4, 1),  # all cores are taken
    ],
)
def test_cores_that_nobody_else_uses_are_free(
    idle: float, own: float, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four cores, looked at two seconds apart."""
    monkeypatch.setattr(free_cores, "allowed_cores", lambda: 4)
    times = iter([CoreTimes(10.0, 5.0, 7.0), CoreTimes(12.0, 5.0 + 2 * idle, 7.0 + 2 * own)])
    monkeypatch.setattr(time, "monotonic", lambda: 12.0)
    assert FreeCores(lambda: next(times)).count() == free


def test_where_nobody_tells_all_cores_are_free() -> None:
    assert FreeCores(lambda: None).count() == free_cores.allowed_cores()


@on_linux
@pytest.mark.parametrize(
    ("cores", "fields"),
    [
        ({12, 13}, "5 0 5 90 0"),  # the container is told of 0 and 1
        ({0, 1}, "0 0 0 0 0"),
        ({0, 1, 2}, "5 0 5 90 0"),
    ],
)
def test_what_a_container_is_not_told_is_not_taken_for_busy(
    cores: set[int], fields: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = tmp_path / "stat"
    stat.write_text(f"cpu 10 0 10 180 0\ncpu0 {fields}\ncpu1 {fields}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    told = fields.startswith("5")
    assert (free_cores.read_core_times(stat) is not None) == told
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    assert free_cores.read_core_times(stat) is None


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("20000 100000", 1), ("", 8)]
)
def test_a_container_uses_what_it_may(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    own = tmp_path / "own"
    own.write_text("0::/robot/vision\n")
    assert free_cores.allowed_cores(tmp_path, own) == 8
    (tmp_path / "robot" / "vision").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "robot", tmp_path / "robot" / "vision"):
        (folder / "cpu.max").write_text(quota)
        assert free_cores.allowed_cores(tmp_path, own) == cores
        (folder / "cpu.max").unlink()
    assert free_cores.allowed_cores(tmp_path, tmp_path / "missing") == 8


@pytest.mark.parametrize(("quota", "cores"), [(-1, 8), (300000, 3)])
def test_so_does_one_of_the_older_kind(
    quota: int, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    own = tmp_path / "own"
    own.write_text("4:memory:/a\n3:cpu,cpuacct:/docker/5\n")
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(str(quota))
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert free_cores.allowed_cores(tmp_path, own) == cores


def test_free_cores_are_no_more_than_the_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_cores, "allowed_cores", lambda: 2)
    times = iter([CoreTimes(10.0, 0.0, 0.0), CoreTimes(11.0, 7.0, 1.0)])
    monkeypatch.setattr(time, "monotonic", lambda: 11.0)
    assert FreeCores(lambda: next(times)).count() == 2


def test_model_runs_on_free_cores_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_cores, "cores_of_process", lambda: SimpleNamespace(count=lambda: 2))
    began = []

    @on_free_cores
    def fail(model: SimpleNamespace) -> None:
        thread = threading.Thread(target=lambda: began.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        raise KeyError(torch.get_num_threads())

    assert seen_threads(CPU) == 2
    with pytest.raises(KeyError, match="2"):
        fail(CPU)
    assert began == [4] and torch.get_num_threads() == 4
    assert seen_threads(SimpleNamespace(device=torch.device("meta"))) == 4


def test_threads_that_compute_at_the_same_time_share_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lower-priority caller, such as a background keyframe, is not counted by the others."""
    monkeypatch.setattr(free_cores, "cores_of_process", lambda: SimpleNamespace(count=lambda: 4))
    seen: dict[str, int] = {}
    inside, end = threading.Barrier(3), threading.Event()

    @on_free_cores
    def compute(model: SimpleNamespace, name: str) -> None:
        seen[name] = seen_threads(CPU)  # within, nothing is counted again
        inside.wait(PATIENCE_S)
        end.wait(PATIENCE_S)

    def nicer() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        compute(CPU, "nicer")

    others = [threading.Thread(target=nicer), threading.Thread(target=compute, args=(CPU, "first"))]
    for thread in others:
        thread.start()
        while len(seen) < 1 + others.index(thread):
            time.sleep(0.001)
    inside.wait(PATIENCE_S)
    seen["second"] = seen_threads(CPU)
    end.set()
    for thread in others:
        thread.join()
    assert seen == {"nicer": 4, "first": 4, "second": 2}
    assert seen_threads(CPU) == 4


def test_free_cores_are_no_order_to_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_cores, "cores_of_process", lambda: SimpleNamespace(count=lambda: 64))
    assert seen_threads(CPU) == 4


@on_linux
@pytest.mark.skipif(
    free_cores.allowed_cores() < len(os.sched_getaffinity(0)), reason="cores of a container"
)
def test_busy_cores_are_left_to_who_uses_them() -> None:
    cores = FreeCores()
    with busy_processes(len(os.sched_getaffinity(0))):
        deadline = time.monotonic() + PATIENCE_S
        while (count := cores.count()) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert count == 1


@on_linux
def test_a_core_is_free_while_it_is_idle_or_waits_for_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A niced process takes a core all the same: it gives no way to other autogroups."""
    core = min(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {core})
    (tmp_path / "stat").write_text(f"cpu 9 9 9 9 9\ncpu{core} 10 20 7 30 5 3\ncpu9999 1 1 1 1 1\n")
    times = free_cores.read_core_times(tmp_path / "stat")
    assert times is not None and times.idle == pytest.approx(35 / os.sysconf("SC_CLK_TCK"))


@on_linux
def test_idle_cores_are_told() -> None:
    before = free_cores.read_core_times()
    time.sleep(1)
    after = free_cores.read_core_times()
    assert before is not None and after is not None
    elapsed = after.now - before.now
    # Where this process is held up between two clocks, the times are up to that much apart.
    assert 0 <= after.idle - before.idle <= (elapsed + 1) * len(os.sched_getaffinity(0))
    assert after.own - before.own < 0.5 * elapsed  # a process that sleeps does not work
