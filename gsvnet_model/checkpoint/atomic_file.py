# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Files that are written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write, which then takes its place; its folder is made.

    A cut in the middle leaves what was there before. The file is new and its name is random, so
    that nobody can have put a link there, and who may read it is what the umask says, whatever
    writes it.

    Args:
        path: of the file when it is complete.

    Yields:
        Path of an empty file with the same suffix.

    Raises:
        OSError: if there is no writing to the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays the last one: numpy would add its own.
    partial = path.with_name(f"{path.stem[:99]}.{secrets.token_hex(8)}.partial{path.suffix}")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        yield partial
        # Some libraries write another file and give it the name of this one.
        os.chmod(partial, mode)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
