# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Loops of our own in the threads of torch's OpenMP runtime."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from gsvnet_model import openmp
from gsvnet_model.compiled_rows import fill_rows
from gsvnet_model.openmp import OpenMP, runtime_of_torch

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
        together.wait(10)
        calls.append((thread, threads, threading.get_native_id()))

    for _ in range(2):
        runtime().run(work)
    assert sorted(call[:2] for call in calls) == sorted(2 * [(0, 3), (1, 3), (2, 3)])
    assert len({call[2] for call in calls}) == 3  # those of the first time again


def test_threads_are_those_of_the_layers_between() -> None:
    """So they are awake: torch has no others, and starts none."""

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


def test_number_is_that_of_the_calling_thread_alone() -> None:
    runtime().set_num_threads(2)
    seen: list[int] = [torch.get_num_threads()]
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [2, 3]


def test_rows_are_shared_out_whole() -> None:
    parts: list[tuple[int, int]] = []
    fill_rows(lambda start, stop: parts.append((start, stop)), 10, is_large=True)
    assert sorted(parts) == [(0, 3), (3, 6), (6, 10)]
    parts.clear()
    fill_rows(lambda start, stop: parts.append((start, stop)), 10, is_large=False)
    assert parts == [(0, 10)]


def test_without_a_runtime_one_thread_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsvnet_model.compiled_rows.runtime_of_torch", lambda: None)
    parts: list[tuple[int, int]] = []
    fill_rows(lambda start, stop: parts.append((start, stop)), 10, is_large=True)
    assert parts == [(0, 10)]


def test_another_library_is_not_taken_for_it() -> None:
    with pytest.raises(AttributeError):
        OpenMP("libc.so.6")
    assert openmp._is_torch_s(runtime())
