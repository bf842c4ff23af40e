# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Why large images are lost between two processes, and what cures it.

Fast DDS writes the images that a process sends into one shared-memory segment of that process.
Without a profile the segment has 0.5 MiB, which holds no image; `config/fastdds_shm.xml` makes it
64 MiB. The locks that a process holds on segments show which it has, whatever its environment says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from gsvnet_ros.startup.shared_memory import FOLDER
from gsvnet_ros.startup.transport_profile import PROFILE_VARIABLES

PROFILE = "fastdds_shm.xml"
LARGE_PROFILE = "fastdds_shm_8k.xml"

_LOCK = re.compile(r"/((?:fastdds|fastrtps)_[0-9a-f]{16})_el$")

_PROFILED_BYTES = 2**24
"""A segment of at least this size comes from a profile for images."""

_IMAGES_IN_SEGMENT = 2
"""Images that a segment should hold: while one is read, the next is written."""

_PROCESSES = Path("/proc")


def segment_bytes(process: Path = _PROCESSES / "self") -> int:
    """Return the size of the largest Fast DDS segment that a process sends from, in bytes.

    Args:
        process: folder of the process in /proc.

    Returns:
        The size; 0 where the process has no such segment, or belongs to somebody else.
    """
    sizes = [0]
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                lock = _LOCK.search(os.readlink(descriptor))
                # A process opens the lock files of its peers too, and locks its own.
                if lock and "lock:" in (process / "fdinfo" / descriptor.name).read_text():
                    sizes.append((FOLDER / lock.group(1)).stat().st_size)
    return max(sizes)


def sender_segment_bytes(publisher_gid: Iterable[int]) -> int:
    """Return the size of the segment that a Fast DDS publisher sends from, in bytes.

    Args:
        publisher_gid: identity of the publisher, as the graph tells it.

    Returns:
        The size; 0 where the process is on another machine, in a container or somebody else's.
    """
    return max(map(segment_bytes, _processes_of(bytes(publisher_gid))), default=0)


def _processes_of(gid: bytes) -> Iterator[Path]:
    # Octets 4 and 5 of the identity are the lower half of the process id.
    lower = int.from_bytes(gid[4:6], "little")
    with suppress(OSError):
        for process in _PROCESSES.iterdir():
            if process.name.isdigit() and int(process.name) & 0xFFFF == lower:
                yield process


def loss_cure(
    middleware: str,
    node_bytes: int,
    camera_bytes: int,
    image_bytes: int,
    reliable_override: str,
) -> str:
    """Return what to do about images that are lost before they reach the node.

    Nothing that is done already: the segments show whether both processes have the profile.

    Args:
        middleware: identifier of the ROS middleware.
        node_bytes: size of the segment of this process, in bytes; 0 where unknown.
        camera_bytes: size of the segment of the camera's process, in bytes; 0 where unknown.
        image_bytes: size of the largest image that came, in bytes; 0 where none came.
        reliable_override: parameter that makes the subscription reliable, with its value; empty
            where it is reliable already or a publisher does not offer it.
    """
    other = "send compressed images (image_transport: compressed)"
    if reliable_override:
        other = f"start this node with {reliable_override}"
    if not middleware.startswith("rmw_fastrtps"):
        return other
    setting = f"{PROFILE_VARIABLES[0]} (since Kilted {PROFILE_VARIABLES[1]}) set to"
    start, profile = f"start it with {setting}", _profile_path(PROFILE)
    if node_bytes < _PROFILED_BYTES and camera_bytes < _PROFILED_BYTES:
        return f"start camera and node with {setting} {profile}"
    if node_bytes < _PROFILED_BYTES:
        return (
            f"the camera has a transport profile, this node none: start it with {setting} {profile}"
        )
    if 0 < camera_bytes < _PROFILED_BYTES:
        return (
            f"this node has a transport profile, the camera none: start it with {setting} {profile}"
        )
    if camera_bytes and _IMAGES_IN_SEGMENT * image_bytes > camera_bytes:
        return (
            f"{_IMAGES_IN_SEGMENT} images of {image_bytes / 1e6:.0f} MB do not fit the segment of "
            f"{camera_bytes / 2**20:.0f} MiB: start camera and node with {setting} "
            f"{_profile_path(LARGE_PROFILE)}"
        )
    if not camera_bytes:
        return (
            f"if the camera runs on this machine, {start} {profile}, as this node has been; else "
            f"{other}"
        )
    return f"both have a transport profile, and the machine is too slow for the images: {other}"


def _profile_path(name: str) -> str:
    """Return where a profile of this package is installed."""
    try:
        return str(Path(get_package_share_directory("gsvnet_ros"), "config", name))
    except PackageNotFoundError:
        return f"config/{name} of gsvnet_ros"
