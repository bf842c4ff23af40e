# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Upload of arrays to a GPU and download from it, while it computes; no copy on the CPU.

A GPU copies asynchronously only from and to page-locked memory. That memory comes from PyTorch's
cache, one block per copy. The cache hands a freed block out again only after the copies that are
queued on it have finished, so a block is never overwritten during a copy, and neither is an array
of the caller.
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
        On the CPU a view of the array. On a GPU a copy: work that is queued on the caller's stream
        after this call waits for the copy, and the array may be overwritten at once.
    """
    values = torch.from_numpy(array)
    if device.type != "cuda":
        return values.to(device)
    staged = torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values)
    current, copying = torch.cuda.current_stream(device), _upload_stream(device)
    with torch.cuda.stream(copying):
        uploaded = staged.to(device, non_blocking=True)
    current.wait_stream(copying)
    uploaded.record_stream(current)
    return uploaded


def download(values: Tensor) -> NDArray[Any]:
    """Return a tensor as an array, once the work queued on the caller's stream has finished.

    Args:
        values: any shape and dtype that numpy knows.

    Returns:
        On the CPU a view of the tensor. From a GPU a new array in page-locked memory, which stays
        locked until the array is freed: copy the array to keep many of them.
    """
    if values.device.type != "cuda":
        return values.numpy()
    array = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    # On the caller's stream, which the caller waits for anyway, and not for other streams.
    array.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).record_event().synchronize()
    return array.numpy()


@functools.cache
def _upload_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
