# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The OpenMP runtime that torch computes with, for loops that torch does not have.

Between two layers its threads wait awake on the cores that they have (see `free_cores`). A thread
of one's own would have to wait until they give up; they themselves begin within microseconds.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable
from pathlib import Path

import torch

_MAPS = Path("/proc/self/maps")
_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class OpenMP:
    """A runtime that this process has loaded.

    Args:
        path: of the library, GNU's or one that has GNU's interface, as LLVM's and Intel's do.

    Raises:
        OSError: if it cannot be opened.
        AttributeError: if it has no such interface.
    """

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        self._set_num_threads = library.omp_set_num_threads
        self._set_num_threads.argtypes, self._set_num_threads.restype = [ctypes.c_int], None
        self._parallel = library.GOMP_parallel
        self._parallel.argtypes = [_FUNCTION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self._parallel.restype = None
        # These return at once: no need to let go of the interpreter.
        quick = ctypes.PyDLL(path)
        self._thread, self._num_threads = quick.omp_get_thread_num, quick.omp_get_num_threads

    def set_num_threads(self, count: int) -> None:
        """Set the threads of what the calling thread computes; unlike torch, of no other's."""
        self._set_num_threads(count)

    def run(self, work: Callable[[int, int], None]) -> None:
        """Call work(thread, threads) in each of the threads at once, the calling one included.

        Raises:
            BaseException: what one of the calls raised, after the last has ended.
        """
        errors: list[BaseException] = []

        def call(_: object) -> None:
            try:
                work(self._thread(), self._num_threads())
            except BaseException as error:
                errors.append(error)

        # As many as ever: GNU's ends the threads that a smaller team leaves over.
        self._parallel(_FUNCTION(call), None, 0, 0)
        if errors:
            raise errors[0]


@functools.cache
def runtime_of_torch() -> OpenMP | None:
    """Return the runtime; None where it cannot be reached, as on other systems than Linux."""
    try:
        maps = _MAPS.read_text()
    except OSError:
        return None
    # Other packages may have brought theirs.
    for path in sorted(set(re.findall(r"/\S*/lib(?:g|i)?omp\d?[-.]\S*so\S*", maps))):
        try:
            runtime = OpenMP(path)
        except (OSError, AttributeError):
            continue
        if _is_torch_s(runtime):
            return runtime
    return None


def _is_torch_s(runtime: OpenMP) -> bool:
    threads = torch.get_num_threads()
    runtime.set_num_threads(threads + 1)
    follows = torch.get_num_threads() == threads + 1
    runtime.set_num_threads(threads)
    return follows
