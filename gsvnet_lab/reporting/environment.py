# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a measurement was made on, kept beside its figures."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from gsvnet_model.hardware.device import cpu_capabilities


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """Return processor or GPU, thread count and versions."""
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
    """Write figures as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
