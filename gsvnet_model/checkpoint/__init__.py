# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors, both networks and all that belongs to them in one file.

What writes is imported at its first use: a node only loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gsvnet_model.checkpoint.reader import default_weights, load_model, read_networks

if TYPE_CHECKING:
    from gsvnet_model.checkpoint.writer import (
        replace_info,
        save_model,
    )
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from gsvnet_model.checkpoint import writer

        return getattr(writer, name)


__all__ = [
    "default_weights",
    "load_model",
    "read_networks",
    "replace_info",
    "save_model",
]
