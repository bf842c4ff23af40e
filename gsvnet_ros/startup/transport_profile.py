# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for large images: which variable names it, and whether it fits.

`launch/seg.launch.py` does the same by itself: it has to run where this package cannot be imported.
"""

from __future__ import annotations

import shutil
from collections.abc import MutableMapping
from pathlib import Path

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Fast DDS 2, of Jazzy and before, reads the first alone; 3 reads the second."""

_DISTRIBUTIONS_WITH_2 = ("humble", "iron", "jazzy")

SHARED_MEMORY = Path("/dev/shm")
_NEEDED_MIB = 3 * 68
"""Of shared memory: a segment each for camera, node and whoever listens."""


def set_profile(environment: MutableMapping[str, str], profile: Path) -> str:
    """Name the profile in an environment, unless the user has named one.

    Args:
        environment: of processes that send or receive images.
        profile: config/fastdds_shm.xml as installed.

    Returns:
        What to tell the user where it cannot work, and is not set; else empty.
    """
    middleware = environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    is_chosen = any(name in environment for name in PROFILE_VARIABLES)
    if is_chosen or not middleware.startswith("rmw_fastrtps"):
        return ""
    free_mib = shutil.disk_usage(SHARED_MEMORY).free / 2**20 if SHARED_MEMORY.is_dir() else 0
    if free_mib < _NEEDED_MIB:
        return (
            f"large images may be lost: {SHARED_MEMORY} has {free_mib:.0f} MiB free, expected "
            f"{_NEEDED_MIB}; in a container, start it with --shm-size=1g or --ipc=host"
        )
    has_2 = environment.get("ROS_DISTRO") in _DISTRIBUTIONS_WITH_2
    environment[PROFILE_VARIABLES[0 if has_2 else 1]] = str(profile)
    return ""
