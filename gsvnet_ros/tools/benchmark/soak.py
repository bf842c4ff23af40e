# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Hours at camera rate: does memory grow, does latency, is every frame accounted for?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_ros.startup.shared_memory import remove_dead_segments, segments
from gsvnet_ros.tools.benchmark.nodes import running, start_node
from gsvnet_ros.tools.benchmark.probe import Answer, NoAnswerError, Probe

_NODE, _CAMERA = "segmentation", "segmentation: camera"
_SEGMENT_AGE_S = 1.1
"""A younger segment is not told from one that is just being made."""
_SETTLING_S = 10.0
"""Time for the last frames to be decided on."""


@dataclass(frozen=True)
class SoakFigures:
    """What became of a long run.

    Attributes:
        sent: images that the camera sent.
        counted: images that the node knows of, served or dropped.
        served: images whose mask was received.
        dropped: the others by reason, as the node counts them.
        uncounted: images that the node neither served nor counted as dropped.
        memory_mib: resident memory of the node after the warm-up and at the end.
        memory_growth_percent: from the one to the other.
        latency_p99_ms: 99th percentile in the first and in the last part of the run.
        latency_growth_percent: from the one to the other.
        left_segments: shared-memory segments that the node left behind.
    """

    sent: int
    counted: int
    served: int
    dropped: Mapping[str, int]
    uncounted: int
    memory_mib: tuple[float, float]
    memory_growth_percent: float
    latency_p99_ms: tuple[float, float]
    latency_growth_percent: float
    left_segments: int


def soak(
    images: Sequence[NDArray[np.uint8]],
    rate_hz: float,
    duration_s: float,
    warm_up_s: float,
    parameters: Mapping[str, object],
    logs: Path,
) -> SoakFigures:
    """Send images at camera rate for a long time.

    Args:
        images: (H, W, 3) uint8 RGB, played forwards and backwards.
        rate_hz: images per second.
        duration_s: of the run, s.
        warm_up_s: after which memory and latency are first taken, s.
        parameters: of the node.
        logs: folder for the output of the processes.
    """
    before = segments()
    latencies: list[tuple[float, float]] = []
    memory: list[tuple[float, float]] = []
    played = [*images, *images[-2:0:-1]]
    with running(start_node(logs / "soak.log", parameters)) as probe:
        camera = probe.add_camera("/image", "/segmentation")
        probe.connect([camera], images[0])
        base = _settled_counts(probe)
        sent = 0
        started = time.monotonic()
        while (now := time.monotonic() - started) < duration_s:
            camera.send(played[sent % len(played)])
            sent += 1
            # No burst where the machine stood still for a while.
            probe.spin(max(0.001, sent / rate_hz - (time.monotonic() - started)))
            memory.append((now, float(probe.diagnostics[_NODE]["memory_mib"])))
            _collect(camera.answers, now, latencies)
        # Frames lost on the way are known when a later one arrives.
        probe.exchange(camera, images[0])
        sent += 1
        _collect(camera.answers, now, latencies)
        counts = _settled_counts(probe)
    time.sleep(_SEGMENT_AGE_S)
    left = set(remove_dead_segments()) - before
    dropped = {
        reason: number - base.get(reason, 0)
        for reason, number in counts.items()
        if reason.startswith("dropped.")
    }
    served = counts["served"] - base["served"]
    part_s = max(0.1, (duration_s - warm_up_s) / 6)
    start_ms = [ms for at, ms in latencies if warm_up_s <= at < warm_up_s + part_s]
    end_ms = [ms for at, ms in latencies if at >= duration_s - part_s]
    p99 = (float(np.percentile(start_ms, 99)), float(np.percentile(end_ms, 99)))
    first_mib = next(mib for at, mib in memory if at >= warm_up_s)
    last_mib = memory[-1][1]
    return SoakFigures(
        sent=sent,
        counted=counts["sent"] - base["sent"],
        served=served,
        dropped={reason.removeprefix("dropped."): n for reason, n in dropped.items() if n},
        uncounted=sent - served - sum(dropped.values()),
        memory_mib=(first_mib, last_mib),
        memory_growth_percent=100 * (last_mib / first_mib - 1),
        latency_p99_ms=p99,
        latency_growth_percent=100 * (p99[1] / p99[0] - 1),
        left_segments=len(left),
    )


def _collect(answers: dict[int, Answer], now: float, latencies: list[tuple[float, float]]) -> None:
    """Move the latencies of complete answers out of `answers`, and forget what never came."""
    complete = [
        stamp
        for stamp, answer in answers.items()
        if answer.mask_ns is not None and answer.confidence_ns is not None
    ]
    for stamp in complete:
        latencies.append((now, answers.pop(stamp).latency_ms))
    old_ns = time.time_ns() - 60 * 10**9
    for stamp in [stamp for stamp in answers if stamp < old_ns]:
        del answers[stamp]


def _settled_counts(probe: Probe) -> dict[str, int]:
    """Return the node's counts when no frame waits any more.

    Raises:
        NoAnswerError: if that does not come.
    """
    until_s = time.monotonic() + _SETTLING_S
    while time.monotonic() < until_s:
        probe.diagnostics.clear()
        # The second report from here on was begun after the last frame.
        probe.spin(2.5)
        values = probe.diagnostics.get(_CAMERA, {})
        if values.get("waiting") == "0":
            return {
                key: int(value)
                for key, value in values.items()
                if key in ("sent", "served") or key.startswith("dropped.")
            }
    raise NoAnswerError("expected the node to have decided on every frame, got no such report")
