# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Values from files in messages, whatever they are."""

from __future__ import annotations

import reprlib

_MAX_CHARACTERS = 100

_REPR = reprlib.Repr()
_REPR.maxlevel = 2
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 4
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def quoted(value: object) -> str:
    """Return a value as Python writes it: printable, and at most 100 characters of it.

    Only as much of the value is looked at as is shown.
    """
    text = _REPR.repr(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 3]}..."
