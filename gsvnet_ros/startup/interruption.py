# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How the work of a process ends when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException


@contextmanager
def until_shutdown() -> Iterator[None]:
    """End what is done inside quietly when a signal comes, whichever way rclpy tells of it.

    Raises:
        RuntimeError: if it has another cause.
    """
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        # rclpy raises this where the context is shut down between its check and its wait.
        if rclpy.ok():
            raise
