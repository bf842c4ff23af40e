# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A folder for the logs of ROS where the user has none: without one, ROS does not start."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def ensure_log_folder(environment: MutableMapping[str, str]) -> str:
    """Give ROS a folder for its logs if it would find none, as for a service without HOME.

    Args:
        environment: environment of this process, before ROS starts in it; the folder is set here.

    Returns:
        What to tell the user if the logs go to a temporary folder; else empty.
    """
    ros_home = environment.get("ROS_HOME") or "~/.ros"
    # Where HOME is not set, the user database tells the home folder; ROS does not ask it.
    wanted = os.path.expanduser(environment.get("ROS_LOG_DIR") or f"{ros_home}/log")
    try:
        if wanted.startswith("~"):
            raise FileNotFoundError("this user has no home folder")
        Path(wanted).mkdir(parents=True, exist_ok=True)
        if not os.access(wanted, os.W_OK | os.X_OK):
            raise PermissionError(f"{wanted} cannot be written to")
    except OSError as error:
        wanted = tempfile.mkdtemp(prefix="gsvnet_ros_log_")
        environment["ROS_LOG_DIR"] = wanted
        return f"logs go to {wanted}: {error}; set ROS_LOG_DIR to choose a folder"
    if "HOME" not in environment:
        environment["ROS_LOG_DIR"] = wanted
    return ""
