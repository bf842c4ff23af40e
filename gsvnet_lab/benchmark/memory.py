# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Memory of a stream beyond its weights, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from gsvnet_lab.benchmark.workload import Workload
from gsvnet_model.stream.segmenter import VideoSegmenter

_INTERVALS = 6


@dataclass(frozen=True)
class MemoryFigures:
    """Memory in MB of 1e6 bytes.

    Attributes:
        peak_mb: highest use during six keyframe intervals.
        growth_mb: growth of the highest use during the last three of these intervals.
    """

    peak_mb: float
    growth_mb: float


def stream_memory(workload: Workload, interval: int) -> MemoryFigures:
    """Return the memory that a stream needs beyond weights and images.

    Args:
        workload: model and images. On a GPU, the memory that torch has reserved there counts.
        interval: keyframe interval of the stream, frames.
    """
    # A fresh process: what this one has freed would be reused and not be counted.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(_measure, workload, interval, torch.get_num_threads()).result()


def _measure(workload: Workload, interval: int, threads: int) -> MemoryFigures:
    torch.set_num_threads(threads)
    model = workload.model()
    images = workload.images(interval)
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        # What torch has reserved, and not what tensors take of it: the working memory of a CUDA
        # graph belongs to no tensor. Without the cache, from which the stream would be served.
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(model.device)
        torch.cuda.reset_peak_memory_stats(model.device)
    else:
        before = _resident_bytes("VmRSS")
        # Resets the high-water mark: loading the weights may have needed more than the stream.
        Path("/proc/self/clear_refs").write_text("5")
    peaks = []
    segmenter = VideoSegmenter(model, interval)
    for _ in range(_INTERVALS):
        for image in images:
            segmenter.step(image)
        peaks.append(
            torch.cuda.max_memory_reserved(model.device) if on_gpu else _resident_bytes("VmHWM")
        )
    return MemoryFigures((peaks[-1] - before) / 1e6, (peaks[-1] - peaks[_INTERVALS // 2 - 1]) / 1e6)


def _resident_bytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)
    if match is None:
        raise ValueError(f"expected {field} in /proc/self/status, which only Linux has")
    return 1024 * int(match.group(1))
