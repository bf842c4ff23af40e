# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The node from its command line to its end."""

from __future__ import annotations

import os
import sys

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logging_severity_from_string, set_logger_level
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from gsvnet_ros.node.parameters import SPECS
from gsvnet_ros.node.segmentation_node import SegmentationNode
from gsvnet_ros.startup.ending import end_in_order_on_signal
from gsvnet_ros.startup.interruption import until_shutdown
from gsvnet_ros.startup.log_folder import ensure_log_folder
from gsvnet_ros.startup.node_arguments import check_node_arguments
from gsvnet_ros.startup.shared_memory import remove_own_segments


def run_node() -> int:
    """Run the node until a signal shuts ROS down; return the exit code.

    Raises:
        SystemExit: after the help, or after telling which arguments were not understood.
    """
    check_node_arguments(
        "segmentation_node",
        "Labels and confidences for the images of cameras.",
        [(spec.name, spec.default, spec.description) for spec in SPECS],
    )
    told = ensure_log_folder(os.environ)
    if told:
        print(f"segmentation: {told}", file=sys.stderr)
    # Whatever is wrong at start is told in one line.
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        return _cannot_start(error)
    silence = get_logging_severity_from_string("FATAL")
    end_in_order_on_signal(
        fall_silent=lambda: set_logger_level("", silence), clean_up=remove_own_segments
    )
    install_signal_handlers()
    try:
        node = SegmentationNode()
    except Exception as error:
        return _cannot_start(error) if rclpy.ok() else 0
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        with until_shutdown():
            node.start()
            executor.spin()
    finally:
        node.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _cannot_start(error: Exception) -> int:
    print(f"segmentation: cannot start: {error}", file=sys.stderr)
    rclpy.try_shutdown()
    return 1
