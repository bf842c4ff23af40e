# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The figures of a recorded run: what became of every published frame, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gsvnet_ros.tools.recording import Recording


@dataclass(frozen=True)
class Figures:
    """The figures of one run.

    Attributes:
        published: frames that the camera published.
        received: those of them that reached the node's callback.
        labelled: those whose mask came back to the recorder.
        dropped: the others by reason; `published == labelled + sum(dropped)`.
        rate_hz: masks per second from the first to the last.
        latency_ms: median and 95th percentile from stamp to receipt of the mask.
        keyframe_share: keyframes among the labelled frames, 0..1; None without statuses.
        stage_ms: median time of every stage of the node, of keyframes and of propagated frames.
    """

    published: int
    received: int
    labelled: int
    dropped: Mapping[str, int]
    rate_hz: float | None
    latency_ms: Mapping[str, float]
    keyframe_share: float | None
    stage_ms: Mapping[str, Mapping[str, float]]

    @property
    def labelled_percent(self) -> float:
        """Share of the published frames that came back labelled, percent."""
        return 100.0 * self.labelled / self.published if self.published else 0.0

    @property
    def received_percent(self) -> float:
        """Share of the published frames that reached the node's callback, percent."""
        return 100.0 * self.received / self.published if self.published else 0.0


def run_figures(
    published_ns: Sequence[int], recording: Recording, node_counts: Mapping[str, str]
) -> Figures:
    """Compute the figures of a run.

    Args:
        published_ns: stamps of all published frames.
        recording: what came back.
        node_counts: the node's last counts: `sent`, `served`, `waiting`, `dropped.<reason>`.

    Raises:
        ValueError: if the node and the recorder contradict each other.
    """
    published = len(published_ns)
    came_back = set(recording.labelled_stamps())
    labelled = [stamp_ns for stamp_ns in published_ns if stamp_ns in came_back]
    dropped = {
        key.removeprefix("dropped."): int(value)
        for key, value in node_counts.items()
        if key.startswith("dropped.")
    }
    sent, served = int(node_counts.get("sent", 0)), int(node_counts.get("served", 0))
    # Three places where a frame goes missing without the node knowing.
    unseen = {
        "lost": published - sent,
        "waiting": int(node_counts.get("waiting", 0)),
        "mask_lost": served - len(labelled),
    }
    for reason, number in unseen.items():
        if number < 0:
            raise ValueError(
                f"expected the node's counts to match, got {-number} frames too many as {reason}: "
                f"published {published}, labelled {len(labelled)}, node {dict(node_counts)}"
            )
        if number:
            dropped[reason] = dropped.get(reason, 0) + number
    return Figures(
        published=published,
        received=published - dropped.get("lost", 0),
        labelled=len(labelled),
        dropped=dropped,
        rate_hz=_rate_hz(recording, labelled),
        latency_ms=_latency_ms(recording, labelled),
        keyframe_share=_keyframe_share(recording, labelled),
        stage_ms=_stage_ms(recording, labelled),
    )


def figures_table(figures: Figures) -> list[tuple[str, str]]:
    """Return the figures as lines of a name and a text."""
    dropped = ", ".join(f"{number} {reason}" for reason, number in figures.dropped.items())
    lines = [
        ("published", f"{figures.published} frames"),
        ("received by node", f"{figures.received} ({figures.received_percent:.1f} %)"),
        ("labelled", f"{figures.labelled} ({figures.labelled_percent:.1f} %)"),
        ("dropped", dropped or "none"),
    ]
    if figures.rate_hz is not None:
        lines.append(("rate", f"{figures.rate_hz:.1f} Hz"))
    if figures.latency_ms:
        median, p95 = figures.latency_ms["median"], figures.latency_ms["p95"]
        lines.append(("latency", f"median {median:.0f} ms, p95 {p95:.0f} ms (stamp to receipt)"))
    if figures.keyframe_share is not None:
        lines.append(("keyframes", f"{100 * figures.keyframe_share:.0f} %"))
    for kind, stages in figures.stage_ms.items():
        text = ", ".join(f"{stage} {value:.0f}" for stage, value in stages.items())
        lines.append((f"ms of a {kind}", text))
    return lines


def _rate_hz(recording: Recording, labelled: Sequence[int]) -> float | None:
    times_ns = [recording.frames[stamp_ns].received_ns for stamp_ns in labelled]
    known_ns = sorted(time_ns for time_ns in times_ns if time_ns is not None)
    if len(known_ns) < 2 or known_ns[-1] == known_ns[0]:
        return None
    return 1e9 * (len(known_ns) - 1) / (known_ns[-1] - known_ns[0])


def latencies_ms(recording: Recording, labelled: Sequence[int]) -> list[float]:
    """Return the time from stamp to receipt of the mask of every labelled frame, ms."""
    received_ns = ((stamp_ns, recording.frames[stamp_ns].received_ns) for stamp_ns in labelled)
    return [1e-6 * (time_ns - stamp_ns) for stamp_ns, time_ns in received_ns if time_ns is not None]


def _latency_ms(recording: Recording, labelled: Sequence[int]) -> dict[str, float]:
    latencies = latencies_ms(recording, labelled)
    if not latencies:
        return {}
    median, p95 = np.percentile(latencies, [50, 95])
    return {"median": float(median), "p95": float(p95)}


def _keyframe_share(recording: Recording, labelled: Sequence[int]) -> float | None:
    ages = [recording.frames[stamp_ns].keyframe_age for stamp_ns in labelled]
    known = [age == 0 for age in ages if age is not None]
    return sum(known) / len(known) if known else None


def _stage_ms(recording: Recording, labelled: Sequence[int]) -> dict[str, dict[str, float]]:
    samples: dict[str, dict[str, list[float]]] = {}
    for stamp_ns in labelled:
        frame = recording.frames[stamp_ns]
        if frame.keyframe_age is None:
            continue
        kind = samples.setdefault("keyframe" if frame.keyframe_age == 0 else "propagated frame", {})
        for key, value in frame.status.items():
            if key.endswith("_ms"):
                kind.setdefault(key.removesuffix("_ms"), []).append(float(value))
    return {
        kind: {stage: float(np.median(values)) for stage, values in stages.items()}
        for kind, stages in samples.items()
    }
