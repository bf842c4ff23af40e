# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The process of the node `segmentation`: `python -m gsvnet_ros.segmentation_node`."""

from __future__ import annotations

import gc
import os
import sys

from gsvnet_ros.startup.ending import end_at_once_on_signal


def main() -> None:
    """Run the node until SIGINT, SIGTERM or SIGHUP, then end the process.

    The exit code is 0, or 1 where the node cannot start. A signal that comes while the libraries
    are imported ends the process by itself.
    """
    end_at_once_on_signal()
    try:
        # Here, because torch takes seconds: until now nothing is settled about signals.
        from gsvnet_ros.startup.run_node import run_node
    except Exception as error:
        sys.exit(f"segmentation: cannot start: {error}")
    exit_code = run_node()
    # The node refers to itself in circles. Only with it goes what it holds of the middleware.
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python's own end would wait for a thread that still loads weights.
    os._exit(exit_code)


if __name__ == "__main__":
    main()
