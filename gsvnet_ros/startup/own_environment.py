# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The environment of commands that start nodes of their own, apart from a robot's."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from gsvnet_ros.startup.transport_profile import set_profile


class NotInstalledError(RuntimeError):
    """The package is not installed in this environment; the message says how to."""


def prepare_environment(log_folder: Path) -> None:
    """Set what this process and those it starts share, before ROS starts in this one.

    What the user has set stays: domain, discovery range and transport profile.

    Args:
        log_folder: for the logs of ROS.

    Raises:
        NotInstalledError: if the package is not installed.
    """
    environment = os.environ
    # A package that pip installed is found beside the interpreter.
    prefixes = environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    if sys.prefix not in prefixes:
        prefixes.append(sys.prefix)
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(filter(None, prefixes))
    # 1..100: above, the ports of a domain reach into the ephemeral ones.
    environment.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 100)))
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    environment["ROS_LOG_DIR"] = str(log_folder.resolve())
    try:
        share = get_package_share_directory("gsvnet_ros")
    except PackageNotFoundError as error:
        raise NotInstalledError(
            f"{error}; install the package (pip install . or colcon build)"
        ) from error
    shortage = set_profile(environment, Path(share, "config", "fastdds_shm.xml"))
    if shortage:
        print(shortage, file=sys.stderr)
