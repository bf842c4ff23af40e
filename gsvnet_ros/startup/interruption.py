# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How the work of a process ends when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException

Result = TypeVar("Result")

_POLL_S = 0.05


@contextmanager
def until_shutdown() -> Iterator[None]:
    """End what is done inside quietly when a signal comes, whichever way rclpy tells of it.

    Raises:
        Exception: what the work inside raises while ROS runs.
    """
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # rclpy raises this and that where the context is shut down between its check and its use.
        if rclpy.ok():
            raise


def call_until_shutdown(work: Callable[[], Result], context: Context) -> Result:
    """Call `work` in a thread of its own, and wait for it no longer than ROS runs.

    Args:
        work: may take minutes, as reading weights and compiling do.
        context: of ROS.

    Returns:
        What `work` returns.

    Raises:
        ExternalShutdownException: if ROS is shut down first; the thread goes on meanwhile, and
            does not keep the process from ending.
        Exception: what `work` raises.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    while not future.done():
        if not context.ok():
            raise ExternalShutdownException
        time.sleep(_POLL_S)
    return future.result()
