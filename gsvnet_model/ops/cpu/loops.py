# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How compiled loops over the rows of a map are built, placed and shared between threads."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import numba
import numba.extending
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.hardware.openmp import runtime_of_torch

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class RowLoop(Protocol):
    """A loop that fills the rows `start` to `stop - 1` of its outputs."""

    def __call__(self, *, start: int, stop: int) -> None:
        """Fill the rows."""
        ...


def compiled(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compile `function` at its first call, keeping the machine code on disk where possible.

    The cache goes to `NUMBA_CACHE_DIR` if that is set, else to `__pycache__` beside the
    function's file, else (package installed read-only) to the user's cache directory. Where none
    can be written, numba raises at decoration; the function is then compiled once per process.

    Machine code is taken from the cache only if neither the function's file nor any file of this
    folder has changed since: loops may compile in helpers of the folder's other files.
    """
    # Of fast math only multiply-add: the other flags would let NaN tests be optimised away.
    # No `parallel=True`: numba's threading layer is one per process, and the one that is always
    # there (workqueue) aborts the process when two Python threads enter it at once. A kernel
    # that only releases the GIL can be called from any number of threads.
    try:
        loop = numba.njit(cache=True, nogil=True, fastmath={"contract"})(function)
        # numba itself looks at the function's own file alone.
        cache_file = loop._cache._cache_file  # type: ignore[attr-defined]
        cache_file._source_stamp = (cache_file._source_stamp, _stamp_of_folder())
    # No place for a cache, or a numba that keeps its stamp elsewhere: stale code would be worse.
    except (RuntimeError, AttributeError):
        return numba.njit(nogil=True, fastmath={"contract"})(function)
    return loop


@functools.cache
def _stamp_of_folder() -> str:
    """Return a hash of all source files of this folder."""
    stamp = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        stamp.update(path.name.encode() + path.read_bytes())
    return stamp.hexdigest()


def fill_rows(loop: RowLoop, num_rows: int, max_threads: int) -> None:
    """Run a loop over all rows, in parts that run at the same time.

    Args:
        loop: releases the GIL and writes only the rows it is given.
        num_rows: rows in all.
        max_threads: how many threads the work is worth; no more run than torch was told to use.
            The calling thread is one of them.
    """
    runtime = runtime_of_torch()
    most = min(torch.get_num_threads(), max_threads, num_rows)
    if most < 2 or runtime is None:
        loop(start=0, stop=num_rows)
        return

    def fill(thread: int, threads: int) -> None:
        parts = min(most, threads)
        if thread < parts:
            loop(start=num_rows * thread // parts, stop=num_rows * (thread + 1) // parts)

    runtime.run(fill)


def corner_aligned(grid_size: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Lay `size` pixels over `grid_size` cells, first on first and last on last.

    Args:
        grid_size: cells of the axis.
        size: pixels of the axis.

    Returns:
        lower: (size,) the cell at or before each pixel, 0..grid_size-1.
        weight: (size,) in 0..1, how far the pixel is from there to the next cell.

    Convention:
        Pixel i lies at i * (grid_size - 1) / (size - 1) cells (align_corners=True); a single
        pixel at 0. In float32 like torch.nn.functional.interpolate, so that results are the same.
    """
    scale = np.float32(grid_size - 1) / np.float32(size - 1) if size > 1 else np.float32(0)
    position = scale * np.arange(size, dtype=np.float32)
    lower = np.minimum(position.astype(np.int64), grid_size - 1)
    weight = np.clip(position - lower.astype(np.float32), np.float32(0), np.float32(1))
    return lower, weight


def as_numpy(values: Tensor) -> NDArray[Any]:
    """Return a view of float32 or bfloat16 values on the CPU for compiled loops (`bf16_to_f32`)."""
    return (values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy()


def bf16_to_f32(value: Any) -> Any:
    """Return the float32 that `value` stands for, in a compiled loop only.

    numba has no bfloat16: such an array comes in as uint16, its bits. Which of both it is, is
    decided when the loop is compiled.

    Args:
        value: an element of an array of float32, or of uint16 for bfloat16.
    """
    raise NotImplementedError("bf16_to_f32 works in compiled loops only")


def f32_to_bf16(value: Any, out: Any) -> Any:
    """Return a float32 as an element of the array `out`; the reverse of `bf16_to_f32`.

    Args:
        value: float32. To bfloat16 it is rounded to the nearest, halves to the even number.
        out: array of float32, or of uint16 for bfloat16.
    """
    raise NotImplementedError("f32_to_bf16 works in compiled loops only")


@numba.extending.overload(bf16_to_f32, strict=False)
def _bf16_to_f32(value: Any) -> Callable[[Any], Any]:
    if value == numba.types.uint16:
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


@numba.extending.overload(f32_to_bf16, strict=False)
def _f32_to_bf16(value: Any, out: Any) -> Callable[[Any, Any], Any]:
    if out.dtype == numba.types.uint16:
        return lambda value, out: _bfloat16_bits(np.float32(value).view(np.uint32))
    return lambda value, out: value


@compiled
def _bfloat16_bits(bits: np.uint32) -> np.uint16:
    odd = np.uint32(bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
