# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""bfloat16 in compiled loops, and the threads that share their rows."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gsvnet_model.ops.cpu import loops as loops
from gsvnet_model.ops.cpu.loops import as_numpy, bf16_to_f32, compiled, f32_to_bf16


@compiled
def copy_values(values: NDArray[np.generic], out: NDArray[np.generic]) -> None:
    for i in range(len(values)):
        out[i] = f32_to_bf16(bf16_to_f32(values[i]), out)


@pytest.mark.parametrize("into", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("start", [torch.float32, torch.bfloat16])
def test_values_are_converted_as_torch_does(start: torch.dtype, into: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (10_000,), generator=random).to(torch.int32)
    halfway = torch.arange(2**15, 2**22, 2**15, dtype=torch.int32) + 0x3F800000
    special = torch.tensor([0.0, -0.0, 1e-45, torch.inf, -torch.inf, 3.4e38, torch.nan])
    values = torch.cat(
        (bits.view(torch.float32).nan_to_num(1), halfway.view(torch.float32), special)
    )
    values = values.to(start)
    out = torch.empty(len(values), dtype=into)
    copy_values(as_numpy(values), as_numpy(out))
    assert torch.equal(out.isnan(), values.isnan())
    assert torch.equal(out[:-1], values[:-1].to(into))


def test_conversions_work_in_compiled_loops_only() -> None:
    with pytest.raises(NotImplementedError, match="compiled loops only"):
        bf16_to_f32(np.float32(1))
    with pytest.raises(NotImplementedError, match="compiled loops only"):
        f32_to_bf16(np.float32(1), np.zeros(1, np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads")
def test_who_gives_way_starts_no_threads_that_others_wait_for() -> None:
    seen: dict[str, set[int]] = {"nice": set(), "stream": set()}
    both = threading.Barrier(2)

    def watch(who: str) -> None:
        def loop(*, start: int, stop: int) -> None:
            seen[who].add(os.getpriority(os.PRIO_PROCESS, 0))
            if start == 0:
                both.wait(10)  # so that the loops of both overlap, and each needs a thread

        loops.fill_rows(loop, 2, 2)

    def give_way() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nicer)
        watch("nice")

    own = os.getpriority(os.PRIO_PROCESS, 0)
    nicer = min(own + 3, 19)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        worker = threading.Thread(target=give_way)
        worker.start()
        watch("stream")
        worker.join()
    finally:
        torch.set_num_threads(threads)
    assert seen == {"nice": {nicer}, "stream": {own}}
