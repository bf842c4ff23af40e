# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Where the networks run and in which precision: asked of the machine, not assumed."""

from __future__ import annotations

from typing import Literal, get_args

import torch

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[str, ...] = ("auto", *get_args(Precision))
AUTO = "auto"

_DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(name: str = AUTO) -> torch.device:
    """Return the device of that name; "auto" takes the GPU when there is one.

    Raises:
        ValueError: if the name is no device or the device is not there.
    """
    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"expected a GPU for {name!r}, found {torch.cuda.device_count()}; use device cpu"
        )
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the keyframe network's weights.

    "auto" is float16 on a GPU, bfloat16 on a CPU that computes in it, float32 elsewhere.

    Raises:
        ValueError: if the name is not known or the device does not compute in it.
    """
    if name not in PRECISIONS:
        raise ValueError(f"expected a precision out of {PRECISIONS}, got {name!r}")
    if name == AUTO:
        if device.type == "cuda":
            return torch.float16
        return torch.bfloat16 if _cpu_computes_bfloat16() else torch.float32
    if name == "float16" and device.type == "cpu":
        raise ValueError("expected bfloat16 or float32 on a CPU, got 'float16'")
    return _DTYPES[name]


def _cpu_computes_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
