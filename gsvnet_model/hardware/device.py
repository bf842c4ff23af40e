# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The device that the networks run on and the precision of their weights."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import torch

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[str, ...] = ("auto", *get_args(Precision))
AUTO = "auto"

CPU_INFO = Path("/proc/cpuinfo")
"""Read where torch does not say what the processor can do."""

_DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(name: str = AUTO) -> torch.device:
    """Return the device of a name, a GPU with its number.

    Args:
        name: "cpu", "cuda", "cuda:N" or "auto": the GPU if there is one, else the CPU. With "auto"
            a GPU that does not work costs a warning, and the CPU is taken.

    Raises:
        ValueError: if the name is no device, or if the device is missing or does not work.
    """
    if name == AUTO:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        try:
            return _working(torch.device("cuda"))
        except ValueError as error:
            warnings.warn(f"computed on the CPU: {error}", RuntimeWarning, stacklevel=2)
            return torch.device("cpu")
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
    return _working(device) if device.type == "cuda" else device


def numbered(device: torch.device) -> torch.device:
    """Return the device, "cuda" with the number of the GPU that the calling thread uses now.

    A device without a number means another GPU in a thread that has chosen another one, and what
    is cached by device, such as streams, would be cached twice: for "cuda" and for "cuda:0".
    """
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _working(device: torch.device) -> torch.device:
    """Return a GPU with its number, once a kernel has run on it.

    Raises:
        ValueError: if this PyTorch cannot compute on the GPU.
    """
    try:
        device = numbered(device)
        _compute_on(device)
    except RuntimeError as error:  # the first line is CUDA's reason, the others are advice
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"expected a GPU that PyTorch {torch.__version__} computes on, got {device}: "
            f"{reason}; use device cpu"
        ) from error
    return device


def _compute_on(device: torch.device) -> None:
    """Run one kernel: a GPU that is listed may be too old for this PyTorch, or its driver may."""
    torch.ones(1, device=device).add(1).item()


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the keyframe network's weights.

    Args:
        name: one of `PRECISIONS`. "auto" is float16 on a GPU, bfloat16 on a CPU that has
            instructions for it, and float32 on any other CPU.
        device: where the network runs.

    Raises:
        ValueError: if the precision is not known, or the device does not compute in it.
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


def cpu_capabilities() -> dict[str, Any]:
    """Return the features of the processor by name, such as "avx512_bf16": True.

    They come from torch, and before torch 2.11 from the flags that Linux lists.
    """
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        return dict(ask())
    try:
        found = re.search(r"^flags\s*:(.*)$", CPU_INFO.read_text(), re.MULTILINE)
    except OSError:  # not on Linux
        found = None
    return dict.fromkeys(found[1].split() if found else (), True)


def _cpu_computes_bfloat16() -> bool:
    capabilities = cpu_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
