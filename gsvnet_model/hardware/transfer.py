# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Arrays on their way to a GPU and back, beside what it computes; on the CPU nothing is copied.

A GPU copies without holding anybody up only from and to page-locked memory. Here that comes from
PyTorch's cache, one piece per copy: a piece that is freed is handed out again only after the copies
queued on it are done, so that none is overwritten on its way, and no caller's array either.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device.

    Args:
        array: any shape and dtype that torch knows, no negative strides.
        device: the CPU or a GPU.

    Returns:
        On the CPU a view of the array. On a GPU a copy: work given to the caller's stream from
        now on finds it there, and the array may be overwritten at once.
    """
    values = torch.from_numpy(array)
    if device.type != "cuda":
        return values.to(device)
    staged = torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values)
    here, beside = torch.cuda.current_stream(device), _upload_stream(device)
    with torch.cuda.stream(beside):
        uploaded = staged.to(device, non_blocking=True)
    here.wait_stream(beside)
    uploaded.record_stream(here)
    return uploaded


def download(values: Tensor) -> NDArray[Any]:
    """Return a tensor as an array, once the work that the caller's stream was given is done.

    Returns:
        On the CPU a view of the tensor. From a GPU an array of its own, in page-locked memory
        until it is freed: copy what is to be kept in quantity.
    """
    if values.device.type != "cuda":
        return values.numpy()
    array = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    # On the caller's stream: he waits for it in any case, and for nobody else's work.
    array.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).record_event().synchronize()
    return array.numpy()


@functools.cache
def _upload_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
