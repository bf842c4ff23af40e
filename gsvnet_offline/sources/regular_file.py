# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Files of data sets as bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 1 << 28
"""An image of 8192x8192 pixels that nothing compresses."""


def read_regular_file(path: Path) -> bytes:
    """Return the bytes of a regular file; pipes and devices, which need not end, are refused.

    Raises:
        ValueError: if it is no regular file, or larger than `MAX_FILE_BYTES`.
        OSError: if it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"expected a regular file, got {path}")
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(
                f"expected a file of at most {MAX_FILE_BYTES} bytes, got {path} of {status.st_size}"
            )
        return file.read()
