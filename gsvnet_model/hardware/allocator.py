# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Malloc tuning: memory that one frame frees stays with the process, for the next frame."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
"""Numbers of mallopt's parameters, from glibc's malloc.h."""

_KEPT_BYTES = 1 << 30
"""Smaller blocks come from the heap, and so much free memory at its end is not given back."""

_SYSTEM_BYTES = 32 << 20
"""The largest mmap threshold that glibc chooses by itself; its trim threshold is twice that."""


def tune_malloc() -> None:
    """Tell malloc to keep freed memory in the process instead of giving it back to the system.

    A feature map of a large keyframe has tens of megabytes. glibc gives a block of that size back
    to the system as soon as it is freed; the system then has to find and clear every page of the
    next one, which takes a sixth of the time of a keyframe at 2048x1024. The process keeps at most
    what one frame needs at its peak. Without effect where the C library has no `mallopt`.
    """
    _set_thresholds(_KEPT_BYTES, _KEPT_BYTES)


@contextmanager
def default_malloc() -> Iterator[None]:
    """Undo `tune_malloc` inside a `with` block, to measure code that is not tuned."""
    _set_thresholds(_SYSTEM_BYTES, 2 * _SYSTEM_BYTES)
    try:
        yield
    finally:
        tune_malloc()


def _set_thresholds(mmap_bytes: int, trim_bytes: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, mmap_bytes)
        mallopt(_M_TRIM_THRESHOLD, trim_bytes)
