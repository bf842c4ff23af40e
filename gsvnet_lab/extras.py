# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Packages that a robot's install does without, and what to install where one is missing."""

from __future__ import annotations

import importlib.util
import sys

OFFLINE, LAB = "offline", "lab"

MODULES = {
    OFFLINE: ("tqdm",),
    LAB: ("matplotlib", "pydantic", "tqdm"),
}
"""The modules of each extra of setup.py, by the names under which they are imported."""


def require_extra(command: str, extra: str) -> None:
    """End the program with exit status 2 and one line where a module of an extra is missing.

    Called before the imports that need the extra, so that nobody meets a traceback instead, and
    nobody waits hours for a command that then cannot draw its plot.

    Args:
        command: the command as it was typed, for example "gsvnet train".
        extra: `OFFLINE` or `LAB`.

    Raises:
        SystemExit: if a module of the extra is not installed.
    """
    missing = [name for name in MODULES[extra] if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f'{command} needs {", ".join(missing)}: pip install "gsvnet_ros[{extra}]"',
            file=sys.stderr,
        )
        raise SystemExit(2)
