# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The nodes under measurement, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.context import Context

from gsvnet_ros.startup.processes import LoggedProcess, ros_arguments
from gsvnet_ros.tools.benchmark.probe import Probe


def start_node(log: Path, parameters: Mapping[str, object], namespace: str = "/") -> LoggedProcess:
    """Start the segmentation node with these parameters in a namespace."""
    arguments = [*ros_arguments(parameters), "-r", f"__ns:={namespace}"]
    return LoggedProcess("node", "gsvnet_ros.segmentation_node", arguments, log)


def start_relay(logs: Path) -> LoggedProcess:
    """Start a relay."""
    return LoggedProcess("relay", "gsvnet_ros.tools.benchmark.relay", [], logs / "relay.log")


@contextmanager
def running(*processes: LoggedProcess) -> Iterator[Probe]:
    """Give a probe for the time of the measurement, then stop the processes."""
    context = Context()
    rclpy.init(args=[], context=context)
    probe = Probe(context)
    try:
        yield probe
    finally:
        probe.close()
        rclpy.try_shutdown(context=context)
        for process in processes:
            process.stop()
