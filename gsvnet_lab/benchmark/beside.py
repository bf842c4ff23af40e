# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Processes that keep cores busy, like the other programs of a robot."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# Ends by itself where its parent was killed.
_LOOP = "import os\nwhile os.getppid() == {}: pass"


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run `count` processes during the block, each of which takes a whole core if it can."""
    command = [sys.executable, "-c", _LOOP.format(os.getpid())]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
