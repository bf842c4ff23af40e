# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The process of the node `segmentation`: `python -m gsvnet_ros.segmentation_node`."""

from __future__ import annotations

import os
import signal
import sys

import rclpy
from rclpy.executors import SingleThreadedExecutor

from gsvnet_ros.node.parameters import SPECS
from gsvnet_ros.node.segmentation_node import SegmentationNode
from gsvnet_ros.startup.interruption import until_shutdown
from gsvnet_ros.startup.log_folder import ensure_log_folder
from gsvnet_ros.startup.node_arguments import check_node_arguments


def main() -> int:
    """Run the node until SIGINT or SIGTERM; return the exit code."""
    parameters = [(spec.name, spec.default, spec.description) for spec in SPECS]
    check_node_arguments(
        "segmentation_node", "Labels and confidences for the images of cameras.", parameters
    )
    # rclpy's own handlers end the spin; Python's would raise wherever it happens to be.
    signal.signal(signal.SIGINT, lambda *_: None)
    told = ensure_log_folder(os.environ)
    if told:
        print(f"segmentation: {told}", file=sys.stderr)
    try:
        rclpy.init()
        node = SegmentationNode()
    # Whatever is wrong at start is told in one line; there is nothing to clean up yet.
    except Exception as error:
        print(f"segmentation: cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
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


if __name__ == "__main__":
    sys.exit(main())
