# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Figures on disk, with the machine that they were measured on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from gsvnet_model.hardware.device import cpu_capabilities


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """Return the names of processor or GPU, the numbers of cores and threads, and versions."""
    cpu = str(cpu_capabilities().get("cpu_name", platform.processor()))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return {
        "device": f"{device.type}: {name}",
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path: Path, figures: Mapping[str, object]) -> None:
    """Write figures as indented JSON; NaN and infinity, which JSON has not, become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_finite(figures), indent=2, allow_nan=False) + "\n")


def _finite(value: object) -> object:
    """Return figures with None in the place of numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
