# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The order of numbered files."""

from __future__ import annotations

import re
from pathlib import Path


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key by name that puts frame_10 after frame_9.

    Args:
        path: of a file; names that differ in leading zeros only are told apart by the second
            part of the key.
    """
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
