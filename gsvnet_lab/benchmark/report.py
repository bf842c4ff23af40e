# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The benchmark's figures and the tables that it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gsvnet_lab.benchmark.device_resident import DeviceFigures
from gsvnet_lab.benchmark.memory import MemoryFigures
from gsvnet_lab.benchmark.runtimes import RuntimeFigures
from gsvnet_lab.benchmark.timing import FrameFigures, StreamFigures
from gsvnet_lab.reporting.model_card import markdown_table


@dataclass(frozen=True)
class WorkloadFigures:
    """All figures of one workload.

    Attributes:
        size: size of the images, WxH.
        classes: number of classes.
        scale: keyframe input pixels per image pixel; 0 is what the weights are meant for.
        timing: times of frames, and throughput.
        device_resident: times of frames that come from a GPU's memory and stay there; None on the
            CPU.
        streams: figures of several streams at once, one entry per number of streams.
        memory: memory of one stream; None if not measured.
        runtimes: figures of the networks in other runtimes; empty if not compared.
    """

    size: str
    classes: int
    scale: float
    timing: FrameFigures
    device_resident: DeviceFigures | None
    streams: list[StreamFigures]
    memory: MemoryFigures | None
    runtimes: list[RuntimeFigures]

    @property
    def name(self) -> str:
        """Text at the start of the rows of the tables."""
        scale = f"scale {self.scale:g}" if self.scale else "the weights' own scale"
        return f"{self.size}, {self.classes} classes, {scale}"


def report(results: Sequence[WorkloadFigures]) -> str:
    """Return the figures as Markdown tables."""
    parts = [_frame_table(results), _throughput_table(results)]
    if any(result.device_resident for result in results):
        parts.append(_device_table(results))
    if any(result.streams for result in results):
        parts.append(_stream_table(results))
    if any(result.memory for result in results):
        rows = [
            (result.name, result.memory.peak_mb, result.memory.growth_mb)
            for result in results
            if result.memory
        ]
        parts.append(markdown_table(("workload", "peak MB", "growth MB"), rows))
    if any(result.runtimes for result in results):
        parts.append(_runtime_table(results))
    return "\n\n".join(parts)


def _frame_table(results: Sequence[WorkloadFigures]) -> str:
    rows = []
    for result in results:
        timing = result.timing
        for kind, speedup in timing.speedup.items():
            ours, released = timing.frames[kind], timing.frames[f"released {kind}"]
            stages = ", ".join(f"{name} {ms:.1f}" for name, ms in timing.stage_ms[kind].items())
            rows.append(
                (
                    result.name,
                    kind,
                    ours.median_ms,
                    ours.p95_ms,
                    stages,
                    released.median_ms,
                    f"{speedup:.2f}",
                )
            )
    header = ("workload", "frame", "ms", "p95", "stages (wall ms)", "released ms", "speedup")
    return markdown_table(header, rows)


def _throughput_table(results: Sequence[WorkloadFigures]) -> str:
    rows = [
        (
            result.name,
            interval,
            rate,
            f"{result.timing.throughput_ratio[interval]:.2f}",
            f"{100 * result.timing.boundary_share:.0f} %",
        )
        for result in results
        for interval, rate in result.timing.frames_per_s.items()
    ]
    header = ("workload", "interval", "frames/s", "x per-frame", "cells on a boundary")
    return markdown_table(header, rows)


def _device_table(results: Sequence[WorkloadFigures]) -> str:
    rows: list[tuple[object, ...]] = []
    for result in results:
        if result.device_resident:
            figures = result.device_resident
            for kind, times in figures.frames.items():
                p95 = f"{times.p95_ms:.3f}"
                rows.append((result.name, kind, f"{times.median_ms:.3f}", p95, ""))
            for interval, rate in figures.frames_per_s.items():
                rows.append((result.name, f"interval {interval}", f"{1e3 / rate:.3f}", "", rate))
    return markdown_table(("workload", "device to device", "ms", "p95", "frames/s"), rows)


def _stream_table(results: Sequence[WorkloadFigures]) -> str:
    rows = [
        (
            result.name,
            figures.streams,
            figures.frames_per_s,
            figures.frame.median_ms,
            figures.frame.p95_ms,
        )
        for result in results
        for figures in result.streams
    ]
    return markdown_table(("workload", "streams", "frames/s in all", "frame ms", "p95"), rows)


def _runtime_table(results: Sequence[WorkloadFigures]) -> str:
    rows = [
        (result.name, figures.network, figures.runtime, "", "", "", figures.missing)
        if figures.missing
        else (
            result.name,
            figures.network,
            figures.runtime,
            figures.median_ms,
            f"{figures.speedup:.2f}",
            f"{100 * figures.agreement:.2f} %",
            f"{figures.prepare_s:.0f} s",
        )
        for result in results
        for figures in result.runtimes
    ]
    header = ("workload", "network", "runtime", "ms", "x ours", "labels as ours", "to prepare")
    return markdown_table(header, rows)
