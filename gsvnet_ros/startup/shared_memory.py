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
import stat
import time
from contextlib import ExitStack, suppress
from pathlib import Path

FOLDER = Path("/dev/shm")

_SEGMENT = re.compile(r"(fastdds|fastrtps)_(port\d+|[0-9a-f]+)")
_EXCLUSIVE = "_el"
_LOCKS = (_EXCLUSIVE, "_sl")
_MIN_AGE_S = 1.0
"""A segment younger than this may be waiting for its owner to lock it."""


def segments(folder: Path = FOLDER) -> set[str]:
    """Return the names of all Fast DDS segments of this user, of the living and the dead."""
    if not folder.is_dir():
        return set()
    found = set()
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # its owner is just removing it
            if _SEGMENT.fullmatch(path.name) and _is_own_file(path.lstat()):
                found.add(path.name)
    return found


def _is_own_file(status: os.stat_result) -> bool:
    """Tell a file of this user from links, pipes and what others put there: anyone may."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()


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
        locks = [path for path in locks if os.path.lexists(path)]
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


def owned_segments(process_id: int) -> set[str]:
    """Return the names of the segments whose lock files a process of this user holds open."""
    owned = set()
    for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
        with suppress(OSError):  # the one that lists the folder is closed
            lock = descriptor.readlink()
            name = lock.name.removesuffix(_EXCLUSIVE)
            if lock.parent == FOLDER and name != lock.name and _SEGMENT.fullmatch(name):
                owned.add(name)
    return owned


def remove_own_segments() -> None:
    """Remove the segments that this process owns, right before it ends without their owner."""
    for name in owned_segments(os.getpid()):
        for path in (name, f"sem.{name}_mutex", f"{name}{_EXCLUSIVE}"):
            (FOLDER / path).unlink(missing_ok=True)


def _take(path: Path, held: ExitStack) -> bool:
    """Take the lock file's lock until `held` closes; return whether nobody else had it.

    Raises:
        FileNotFoundError: if its owner has removed it.
    """
    try:
        # Without waiting, as opening a pipe would.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:  # a link, or somebody else's
        return False
    held.callback(os.close, descriptor)
    if not _is_own_file(os.fstat(descriptor)):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
