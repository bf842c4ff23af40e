# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A kernel for GPUs in the place of a reference, once both were seen to give equal results."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Output = TypeVar("Output")


class CheckedKernel(Generic[Output]):
    """Computes what a reference computes, faster where the kernel works.

    The first call of a process computes both and compares. Where the kernel cannot be imported,
    fails or gives other results, a warning says so once, and the reference is used from then on.
    The first call waits for the device; later calls can be recorded as a CUDA graph (`graphs`).

    Args:
        plain: the reference, a function of tensors and numbers.
        load: imports and returns the kernel, a function that takes the reference's arguments.
        agree: whether the kernel's results (first argument) may stand for the reference's
            (second argument).
    """

    def __init__(
        self,
        plain: Callable[..., Output],
        load: Callable[[], Callable[..., Output]],
        agree: Callable[[Output, Output], bool],
    ) -> None:
        self._plain = plain
        self._load = load
        self._agree = agree
        self._chosen: Callable[..., Output] | None = None
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Output:
        """Return what the plain function returns."""
        if self._chosen is None:
            with self._lock:
                if self._chosen is None:
                    self._chosen = self._choose(arguments)
        return self._chosen(*arguments)

    def _choose(self, arguments: tuple[Any, ...]) -> Callable[..., Output]:
        expected = self._plain(*arguments)
        try:
            kernel = self._load()
            fault = "" if self._agree(kernel(*arguments), expected) else "it gives other results"
        # Whatever a GPU or its compiler comes up with costs time and no labels.
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
        if not fault:
            return kernel
        warnings.warn(
            f"{self._plain.__name__}: computed without its kernel, more slowly: {fault}",
            RuntimeWarning,
            stacklevel=3,
        )
        return self._plain
