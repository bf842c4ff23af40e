# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How a node's process ends when SIGINT, SIGTERM or SIGHUP comes, at whatever moment.

Imports nothing but the standard library: it is the first that runs. Python's own handling does
not do here. It raises wherever the main thread happens to be: within the import of a library, which
may swallow the exception and leave a node that is half imported, or it waits until a decoder
returns.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 2.0
"""An orderly end takes tenths of a second; a decoder or a compiler may take minutes."""


def end_at_once_on_signal() -> None:
    """Let a signal end this process at once; for as long as there is nothing to clean up."""
    for number in _signals():
        # The system itself ends the process, also while Python waits for a library to load. The
        # first process of a container it spares, unless that has a handler.
        signal.signal(number, _exit if os.getpid() == 1 else signal.SIG_DFL)


def end_in_order_on_signal(
    fall_silent: Callable[[], object], clean_up: Callable[[], object]
) -> None:
    """Let SIGHUP do what SIGTERM does, and end this process hard where its end takes too long.

    Called before rclpy installs its handlers for SIGINT and SIGTERM, which shut ROS down and then
    call these.

    Args:
        fall_silent: keeps what is interrupted from complaining; called from another thread.
        clean_up: removes what a hard end would leave behind; called from another thread.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    threading.Thread(
        target=_watch, args=(told, fall_silent, clean_up), name="ending", daemon=True
    ).start()
    # Python calls handlers between two steps of its main thread; into this it writes at once.
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in _signals():
        signal.signal(number, lambda *_: None)


def _signals() -> list[signal.Signals]:
    # Who ignores SIGHUP was started by nohup, to outlive its terminal. Not so SIGINT, which every
    # command that a script starts in the background ignores.
    hup_is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [n for n in _SIGNALS if not (n == signal.SIGHUP and hup_is_ignored)]


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _watch(told: int, fall_silent: Callable[[], object], clean_up: Callable[[], object]) -> None:
    number = None
    while number not in _SIGNALS:  # such as one of a child process
        (number,) = os.read(told, 1)
    fall_silent()
    if number == signal.SIGHUP:  # of which rclpy knows nothing
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    clean_up()
    print(
        f"segmentation: ended {PATIENCE_S:g} s after the signal, without what still ran",
        file=sys.stderr,
        flush=True,
    )
    os._exit(0)
