# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Child processes that write to a log file and are stopped in order."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PATIENCE_S = {signal.SIGINT: 15.0, signal.SIGTERM: 5.0, signal.SIGKILL: 5.0}
"""SIGINT first: a killed ROS node leaves its shared memory behind."""


def ros_arguments(parameters: Mapping[str, object]) -> list[str]:
    """Return parameters as command line arguments; a value is YAML, and JSON is YAML."""
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    return arguments


class LoggedProcess:
    """A Python module in a process of its own.

    Args:
        name: what messages call it.
        module: to run.
        arguments: of the module.
        log: file for everything it prints.
    """

    def __init__(self, name: str, module: str, arguments: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        command = [sys.executable, "-m", module, *arguments]
        # Should this process be killed, the child is told to stop.
        guard = shutil.which("setpriv")
        if guard:
            command = [guard, "--pdeathsig", "SIGINT", "--", *command]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for this process, which then stops its children one by one.
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Stop the process if it still runs and return its exit code."""
        for number, patience_s in _PATIENCE_S.items():
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        return self._process.wait()

    def log_tail(self, num_lines: int = 20) -> str:
        """Return the last lines that it printed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-num_lines:])
