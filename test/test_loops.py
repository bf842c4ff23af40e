# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""bfloat16 in compiled loops, and the threads that share their rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

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


ROUNDING = """
import numpy as np
from gsvnet_model.ops.cpu.image import normalise_rows

pixels, out = np.array([1, 2, 3], np.uint8), np.zeros((1, 3), np.uint16)
mean, factor = np.zeros(3, np.float32), np.full(3, 1.01, np.float32)
normalise_rows(pixels, np.uint64(3), mean, factor, out, 0, 1)
print(*out[0], *normalise_rows.stats.cache_hits.values())
"""
"""Rounds 1.01, 2.02 and 3.03 to bfloat16 with a helper of another file than the loop's."""


def test_cached_loops_follow_a_change_of_a_helper_in_another_file(tmp_path: Path) -> None:
    source = Path(loops.__file__).parents[2]
    package = tmp_path / "gsvnet_model"
    for name in ("ops/cpu", "hardware"):
        shutil.copytree(source / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".", "ops"):
        (package / name / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": ""}

    def rounded() -> str:
        done = subprocess.run(
            [sys.executable, "-c", ROUNDING],
            cwd=tmp_path,  # which comes before PYTHONPATH
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def bits(values: list[float], rounding: int) -> str:
        exact = np.array(values, np.float32).view(np.uint32).astype(np.int64)
        return " ".join(str((value + rounding) >> 16) for value in exact)

    values = [float(np.float32(number) * np.float32(1.01)) for number in (1, 2, 3)]
    nearest, down = bits(values, 0x7FFF), bits(values, 0)
    assert nearest != down
    assert rounded() == nearest  # compiled
    assert rounded() == f"{nearest} 1"  # from the cache
    helper = package / "ops" / "cpu" / "loops.py"
    text = helper.read_text()
    assert text.count("np.uint32(0x7FFF) + odd") == 1
    helper.write_text(text.replace("np.uint32(0x7FFF) + odd", "np.uint32(0x0000) + 0*odd"))
    assert rounded() == down
