# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a node is told on its command line: ROS arguments, or to explain itself."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable


def check_node_arguments(
    executable: str, description: str, parameters: Iterable[tuple[str, object, str]]
) -> None:
    """Answer `--help`, and refuse what is no ROS argument: ROS itself would ignore it.

    Args:
        executable: as `ros2 run` calls it.
        description: one sentence.
        parameters: name, default and meaning of each.

    Raises:
        SystemExit: after the help, or after telling what was not understood.
    """
    lines = [f"  {name} (default: {default!r})\n      {text}" for name, default, text in parameters]
    parser = argparse.ArgumentParser(
        prog=f"ros2 run gsvnet_ros {executable}",
        usage="%(prog)s [-h] [--ros-args -p NAME:=VALUE -r FROM:=TO --params-file FILE ...]",
        description=description,
        epilog="\n".join(["parameters:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(_own_arguments(sys.argv[1:]))


def _own_arguments(given: list[str]) -> list[str]:
    """Return what is not for ROS: outside of `--ros-args ... --`, and no old-style remapping.

    rclpy's own function would read the parameter files, which a pipe allows only once.
    """
    own, is_ros = [], False
    for argument in given:
        if argument in ("--ros-args", "--"):
            is_ros = argument == "--ros-args"
        elif argument and not is_ros and ":=" not in argument:
            own.append(argument)
    return own
