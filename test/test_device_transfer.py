# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What goes to a device arrives there and comes back; on the CPU it does not move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gsvnet_model.hardware.transfer import download, upload

CPU = torch.device("cpu")

RNG = np.random.default_rng(0)

DEVICES = [
    CPU,
    pytest.param(
        torch.device("cuda"),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    ),
]


def image(height: int = 37, width: int = 53) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize(
    "array",
    [image(), image()[:, :40], image()[::2, 1:], image().astype(np.float32), image()[:0]],
    ids=["bytes", "padded rows", "every second row", "float32", "nothing"],
)
def test_there_and_back(array: NDArray[Any], device: torch.device) -> None:
    uploaded = upload(array, device)
    assert uploaded.device.type == device.type
    back = download(uploaded)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_on_the_cpu_nothing_is_copied() -> None:
    array = image()
    values = upload(array, CPU)
    assert values.data_ptr() == array.ctypes.data
    assert download(values).ctypes.data == array.ctypes.data
    padded = image()[:, :40]
    assert upload(padded, CPU).stride() == padded.strides


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_arrays_are_free_at_once_and_results_stay() -> None:
    """More on the way at a time than any number of buffers taken in turns."""
    device = torch.device("cuda")
    array = np.empty((1024, 2048, 3), np.uint8)
    busy = torch.randn(4096, 4096, device=device)
    uploaded = []
    for value in range(30):
        busy = torch.tanh(busy @ busy)  # the GPU is late
        array[:] = value
        uploaded.append(upload(array, device) + 1)
    results = [download(values) for values in uploaded]
    for value, result in enumerate(results):
        assert (result == value + 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_threads_with_streams_of_their_own() -> None:
    def work(number: int) -> bool:
        with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            arrays = [np.full((360, 480, 3), number + 4 * turn, np.uint8) for turn in range(50)]
            back = [download(upload(array, torch.device("cuda")) ^ 255) for array in arrays]
        return all((a ^ 255 == b).all() for a, b in zip(arrays, back, strict=True))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
