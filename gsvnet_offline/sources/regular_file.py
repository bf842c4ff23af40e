# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Regular files, opened without waiting for anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from gsvnet_offline.names import printable_name

MAX_FILE_BYTES = 1 << 28
"""An image of 8192x8192 pixels that nothing compresses."""


def open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file for reading; pipes and devices, which need not end, are refused.

    Args:
        path: of the file; a link is followed.

    Raises:
        ValueError: if it is no regular file.
        OSError: if it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(
            f"{printable_name(path)}: expected a regular file, got a pipe, a device or a folder"
        )
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: Path) -> bytes:
    """Return the bytes of a regular file; pipes and devices are refused.

    Args:
        path: of the file; a link is followed.

    Raises:
        ValueError: if it is no regular file, or larger than `MAX_FILE_BYTES`.
        OSError: if it cannot be opened.
    """
    with open_regular_file(path) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes > MAX_FILE_BYTES:
            raise ValueError(
                f"{printable_name(path)}: expected a file of at most {MAX_FILE_BYTES} bytes, got "
                f"{num_bytes}"
            )
        return file.read()
