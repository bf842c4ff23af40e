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

from gsvnet_model import free_cores
from gsvnet_model.benchmark.beside import busy_processes
from gsvnet_model.free_cores import CoreTimes, FreeCores, on_free_cores

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


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("20000 100000", 1), ("", 8)]
)
def test_a_container_uses_what_it_may(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    (tmp_path / "cpu.max").write_text(quota)
    assert free_cores.allowed_cores(tmp_path / "cpu.max") == cores
    assert free_cores.allowed_cores(tmp_path / "missing") == 8


def test_free_cores_are_no_more_than_the_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_cores, "allowed_cores", lambda: 2)
    times = iter([CoreTimes(10.0, 0.0, 0.0), CoreTimes(11.0, 7.0, 1.0)])
    monkeypatch.setattr(time, "monotonic", lambda: 11.0)
    assert FreeCores(lambda: next(times)).count() == 2


def test_model_runs_on_free_cores_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_cores, "_free_cores", lambda: SimpleNamespace(count=lambda: 2))
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


def test_free_cores_are_no_order_to_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_cores, "_free_cores", lambda: SimpleNamespace(count=lambda: 64))
    assert seen_threads(CPU) == 4


@on_linux
def test_busy_cores_are_left_to_who_uses_them() -> None:
    cores = FreeCores()
    with busy_processes(len(os.sched_getaffinity(0))):
        deadline = time.monotonic() + 20
        while (count := cores.count()) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert count == 1


@on_linux
def test_idle_cores_are_told() -> None:
    before = free_cores.read_core_times()
    time.sleep(1)
    after = free_cores.read_core_times()
    assert before is not None and after is not None
    elapsed = after.now - before.now
    assert 0 <= after.idle - before.idle <= elapsed * len(os.sched_getaffinity(0)) + 0.1
    assert after.own - before.own < 0.5 * elapsed  # who sleeps does not work
