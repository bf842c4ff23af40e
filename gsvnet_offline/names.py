# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""File names as text that can be shown and stored, whatever bytes they are made of."""

from __future__ import annotations

import os
from pathlib import Path


def printable_name(name: str | Path) -> str:
    r"""Return a file name as printable text.

    Bytes that are not UTF-8 and characters that a terminal would obey are written as escapes
    (`\xff`, `\n`). Python holds such bytes as lone surrogates, which no UTF-8 file takes.

    Args:
        name: of a file or folder, as Python gives it.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
