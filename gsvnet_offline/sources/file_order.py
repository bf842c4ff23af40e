# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The order of numbered files."""

from __future__ import annotations

import re
from pathlib import Path


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key by name that puts frame_10 after frame_9."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
