# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Fast DDS segments in shared memory that dead processes left behind.

A participant that is stopped removes its segments; one that is killed leaves 64 MiB each in
/dev/shm. Beside every segment `X` lies a lock file `X_el` (exclusive) or `X_sl` (shared), which
its owners hold locked with flock as long as they live, so a lock that can be taken says that the
owner is dead.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import ExitStack, suppress
from pathlib import Path

FOLDER = Path("/dev/shm")

_SEGMENT = re.compile(r"(fastdds|fastrtps)_(port\d+|[0-9a-f]+)")
_LOCKS = ("_el", "_sl")
_MIN_AGE_S = 1.0
"""A segment younger than this may be waiting for its owner to lock it."""


def segments(folder: Path = FOLDER) -> set[str]:
    """Return the names of all Fast DDS segments of this user, of the living and the dead."""
    if not folder.is_dir():
        return set()
    found = set()
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # its owner is just removing it
            if _SEGMENT.fullmatch(path.name) and path.stat().st_uid == os.getuid():
                found.add(path.name)
    return found


def remove_dead_segments(folder: Path = FOLDER) -> list[str]:
    """Remove the segments of this user whose owners are dead.

    Args:
        folder: where the segments lie.

    Returns:
        The names of the segments that were removed.
    """
    removed = []
    for name in sorted(segments(folder)):
        locks = [folder / (name + suffix) for suffix in _LOCKS]
        locks = [path for path in locks if path.exists()]
        segment = folder / name
        with ExitStack() as held:
            try:
                young = time.time() - segment.stat().st_ctime < _MIN_AGE_S
                if young or not locks or not all(_take(path, held) for path in locks):
                    continue
            except FileNotFoundError:  # its owner is just removing it
                continue
            # The locks are held until here, so no process can have become the owner meanwhile.
            for path in (segment, folder / f"sem.{name}_mutex", *locks):
                path.unlink(missing_ok=True)
            removed.append(name)
    return removed


def _take(path: Path, held: ExitStack) -> bool:
    """Take the lock file's lock until `held` closes; return whether nobody else had it."""
    descriptor = os.open(path, os.O_RDONLY)
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
