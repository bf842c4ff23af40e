# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The OpenMP runtime that torch computes with, for loops that torch does not have.

Between two layers its threads wait awake on the cores that they have (see `free_cores`). A thread
of one's own would have to wait until they give up; they themselves begin within microseconds.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class OpenMP:
    """A runtime that this process has loaded.

    Args:
        path: of the library, or of one that is linked with it; GNU's, or one that has GNU's
            interface, as LLVM's and Intel's do.

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
        # MKL, which multiplies float32 matrices, keeps a number of its own.
        self._set_num_threads_of_mkl = getattr(library, "MKL_Set_Num_Threads_Local", None)

    @contextmanager
    def num_threads(self, count: int) -> Iterator[None]:
        """Let the calling thread compute with that many threads, and unlike torch no other one."""
        before = torch.get_num_threads()
        self._set_num_threads(count)
        if self._set_num_threads_of_mkl is not None:
            before_of_mkl = self._set_num_threads_of_mkl(count)
        try:
            yield
        finally:
            self._set_num_threads(before)
            if self._set_num_threads_of_mkl is not None:
                self._set_num_threads_of_mkl(before_of_mkl)

    def run(self, work: Callable[[int, int], None]) -> None:
        """Call work(thread, threads) in each of the threads at once, the calling one included.

        Raises:
            BaseException: what one of the calls raised, after the last has ended.
            KeyboardInterrupt: if a signal kept one of the calls from being made.
        """
        ended: list[int] = []
        errors: list[BaseException] = []

        def call(_: object) -> None:
            try:
                threads = self._num_threads()
                work(self._thread(), threads)
                ended.append(threads)
            except BaseException as error:
                errors.append(error)

        # As many as ever: GNU's ends the threads that a smaller team leaves over.
        self._parallel(_FUNCTION(call), None, 0, 0)
        if errors:
            raise errors[0]
        # A signal's handler may raise before the call does anything; ctypes only prints that.
        if not ended or len(ended) < ended[0]:
            raise KeyboardInterrupt("interrupted while threads began to work")


@functools.cache
def runtime_of_torch() -> OpenMP | None:
    """Return the runtime; None, with a warning, where it cannot be reached."""
    if sys.platform != "linux":
        return None
    try:
        # What it was linked with is looked up in it, wherever that lies.
        runtime = OpenMP(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        with runtime.num_threads(torch.get_num_threads() + 1):
            changed = torch.get_num_threads()
        if changed == torch.get_num_threads() + 1:
            return runtime
        reason = "torch does not follow it"
    except (OSError, AttributeError) as error:
        reason = str(error)
    warnings.warn(
        f"the threads of torch cannot be reached ({reason}): large images take longer, and beside "
        "other busy programs set OMP_WAIT_POLICY=PASSIVE",
        RuntimeWarning,
        stacklevel=2,
    )
    return None
