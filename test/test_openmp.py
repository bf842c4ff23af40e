# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Compiled loops in the threads of torch's OpenMP runtime."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from gsvnet_model.hardware import openmp
from gsvnet_model.hardware.openmp import OpenMP, runtime_of_torch
from gsvnet_model.ops.cpu.loops import fill_rows

PATIENCE_S = 60.0
"""What takes milliseconds on a quiet machine has this long."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="found on Linux only")


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def runtime() -> OpenMP:
    found = runtime_of_torch()
    assert found is not None
    return found


def test_work_is_done_once_by_each_of_torch_s_threads_at_the_same_time() -> None:
    together = threading.Barrier(3)
    calls = []

    def work(thread: int, threads: int) -> None:
        together.wait(PATIENCE_S)
        calls.append((thread, threads, threading.get_native_id()))

    for _ in range(2):
        runtime().run(work)
    assert sorted(call[:2] for call in calls) == sorted(2 * [(0, 3), (1, 3), (2, 3)])
    assert len({call[2] for call in calls}) == 3  # those of the first time again


def test_threads_are_those_of_the_layers_between() -> None:
    """So they spin when the loop begins: torch has no other threads, and starts none."""

    def native_threads() -> set[int]:
        ids: set[int] = set()
        runtime().run(lambda thread, threads: ids.add(threading.get_native_id()))
        return ids

    layer, values = torch.nn.Conv2d(32, 32, 3), torch.randn(1, 32, 64, 64)
    first = native_threads()
    layer(values)
    assert native_threads() == first


def test_error_is_raised_once_all_are_done() -> None:
    done = []

    def work(thread: int, threads: int) -> None:
        if thread == 1:
            raise KeyError(thread)
        done.append(thread)

    with pytest.raises(KeyError, match="1"):
        runtime().run(work)
    assert sorted(done) == [0, 2]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_keeps_threads_from_working_is_not_lost() -> None:
    """Ctypes swallows what a handler raises before the callback has begun."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    done, interrupted = 0, 0
    try:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and interrupted < 20:
            ended: list[int] = []
            try:
                signal.setitimer(signal.ITIMER_REAL, 20e-6 + 200e-6 * (interrupted % 7) / 7)
                runtime().run(lambda thread, threads, ended=ended: ended.append(thread))  # type: ignore[misc]
                assert sorted(ended) == [0, 1, 2]
                done += 1
                time.sleep(0.001)  # the signal comes here at the latest
            except KeyboardInterrupt:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 20, done


def test_number_is_that_of_the_calling_thread_alone() -> None:
    with runtime().num_threads(2):
        seen: list[int] = [torch.get_num_threads()]
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert [*seen, torch.get_num_threads()] == [2, 3, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_number_holds_for_products_of_matrices(dtype: torch.dtype) -> None:
    """MKL, which makes those of float32, does not ask OpenMP."""
    values = torch.randn(1000, 256).to(dtype)

    def in_its_own_thread() -> None:
        torch.set_num_threads(3)
        torch.get_num_threads()
        before = native_threads()
        with runtime().num_threads(1):
            values @ values.T
            started.append(native_threads() - before)
        values @ values.T
        started.append(native_threads() - before)

    def native_threads() -> int:
        """Return how many there are, once those of the test before have ended."""
        count = 0
        while count != (count := len(os.listdir("/proc/self/task"))):
            time.sleep(0.1)
        return count

    started: list[int] = []
    thread = threading.Thread(target=in_its_own_thread)
    thread.start()
    thread.join()
    assert started[0] == 0
    if dtype == torch.float32:
        assert started[1] == 2  # so the first one could have started some


@pytest.mark.parametrize(
    ("most", "parts"), [(3, [(0, 3), (3, 6), (6, 10)]), (2, [(0, 5), (5, 10)])]
)
def test_rows_are_shared_out_whole(most: int, parts: list[tuple[int, int]]) -> None:
    filled: list[tuple[int, int]] = []
    fill_rows(lambda start, stop: filled.append((start, stop)), 10, most)
    assert sorted(filled) == parts


def test_little_work_stays_in_one_thread() -> None:
    filled: list[tuple[int, int]] = []
    fill_rows(lambda start, stop: filled.append((start, stop)), 10, 1)
    assert filled == [(0, 10)]


def test_without_a_runtime_one_thread_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsvnet_model.ops.cpu.loops.runtime_of_torch", lambda: None)
    filled: list[tuple[int, int]] = []
    fill_rows(lambda start, stop: filled.append((start, stop)), 10, 3)
    assert filled == [(0, 10)]


@pytest.mark.parametrize("library", ["libc.so.6", "/nowhere/libtorch_cpu.so"])
def test_where_there_is_none_a_warning_says_so_once(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmp, "OpenMP", lambda path: OpenMP(library))
    with pytest.warns(RuntimeWarning, match="cannot be reached"):
        assert runtime_of_torch.__wrapped__() is None
