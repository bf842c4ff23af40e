# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Memory that a frame frees stays with the process, for the next frame."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""glibc's numbers of the parameters, from malloc.h."""

_KEPT_BYTES = 1 << 30

_SYSTEM_BYTES = 32 << 20
"""The largest threshold that glibc chooses by itself."""


def tune_malloc() -> None:
    """Tell the C library not to give freed memory back to the system.

    Feature maps of a large keyframe are tens of megabytes each. glibc gives blocks of that size
    back as soon as they are freed, and the next one is fetched and cleared page by page: a sixth
    of the time of a keyframe at 2048x1024. Kept is at most what one frame needs at its peak. A C
    library without these parameters is left alone.
    """
    _set_thresholds(_KEPT_BYTES, _KEPT_BYTES)


@contextmanager
def default_malloc() -> Iterator[None]:
    """Do without `tune_malloc` for a while, to measure code that knows nothing of it."""
    _set_thresholds(_SYSTEM_BYTES, 2 * _SYSTEM_BYTES)
    try:
        yield
    finally:
        tune_malloc()


def _set_thresholds(mmap_bytes: int, trim_bytes: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, mmap_bytes)
        mallopt(_TRIM_THRESHOLD, trim_bytes)
