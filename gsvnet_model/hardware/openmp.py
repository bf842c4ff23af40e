# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The OpenMP runtime of torch, for compiled loops of this library.

Between two layers the worker threads of torch spin on their cores (see `free_cores`). Threads of
another pool would have to wait until the workers stop spinning; the workers themselves start on a
loop within microseconds.
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
    """An OpenMP runtime that this process has loaded.

    Args:
        path: file of the runtime, or of a library that is linked with it. The runtime is GNU's, or
            one with GNU's interface, such as LLVM's and Intel's.

    Raises:
        OSError: if the library cannot be opened.
        AttributeError: if the library has no function of GNU's interface.
    """

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        self._set_num_threads = library.omp_set_num_threads
        self._set_num_threads.argtypes, self._set_num_threads.restype = [ctypes.c_int], None
        self._parallel = library.GOMP_parallel
        self._parallel.argtypes = [_FUNCTION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self._parallel.restype = None
        # These return at once, so they keep the interpreter's lock.
        quick = ctypes.PyDLL(path)
        self._thread, self._num_threads = quick.omp_get_thread_num, quick.omp_get_num_threads
        # MKL, which multiplies float32 matrices, keeps a thread count of its own.
        self._set_num_threads_of_mkl = getattr(library, "MKL_Set_Num_Threads_Local", None)

    @contextmanager
    def num_threads(self, count: int) -> Iterator[None]:
        """Let the calling thread compute with `count` threads inside a `with` block.

        `torch.set_num_threads` changes the count of threads that start later as well; this changes
        the count of the calling thread only.
        """
        # Query torch's thread count first: the first query in a thread sets the thread's count to
        # torch's, and later it would undo `count`.
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
        """Call a function once in each thread, in all threads at the same time.

        Args:
            work: takes the number of its thread, from 0, and the number of threads. The calling
                thread is one of them.

        Raises:
            BaseException: the exception of one of the calls, after the last call has ended.
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

        # Always all threads: GNU's runtime ends the threads that a smaller team does not need.
        self._parallel(_FUNCTION(call), None, 0, 0)
        if errors:
            raise errors[0]
        # A signal handler may raise before `call` begins; ctypes prints that and goes on.
        if not ended or len(ended) < ended[0]:
            raise KeyboardInterrupt("interrupted while threads began to work")


@functools.cache
def runtime_of_torch() -> OpenMP | None:
    """Return the runtime of torch; None, with a warning on Linux, where it cannot be used."""
    if sys.platform != "linux":
        return None
    try:
        # The functions are found in the runtime that torch was linked with, wherever it lies.
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
