# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A kernel for GPUs in the place of a plain function, once it was seen to do the same."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Output = TypeVar("Output")


class CheckedKernel(Generic[Output]):
    """Computes what a plain function computes, faster where that works.

    The first call of a process computes both and compares. Where the kernel cannot be had, fails
    or gives something else, a warning says so once, and the plain function is used from then on.
    That first call waits for the device; later ones can be recorded (`cuda_graphs`).

    Args:
        plain: of tensors and numbers.
        load: imports and returns the kernel, of the same arguments.
        agree: whether what the kernel gives (first) will do for what the plain function gives.
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
