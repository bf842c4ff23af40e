# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Rate and latency of one camera, and what is wrong with them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from gsvnet_ros.health.frame_counts import CountsSnapshot
from gsvnet_ros.startup.transport_profile import PROFILE_VARIABLES

WINDOW_S = 2.0
"""Rates and percentiles are taken over this time."""

LASTING_S = 5.0
"""A latency above the budget for this long is an error."""

BUSY_S = 10.0
"""A node that serves nothing for this long, or three of its latencies, and is busy, hangs."""

LOST_SHARE = 0.2
"""A larger share of frames lost on the way is worth a warning."""

LOSS_CURE = (
    "before they reached the node; give camera and node the transport profile "
    f"config/fastdds_shm.xml ({' or, since Kilted, '.join(PROFILE_VARIABLES)})"
)

Level = Literal["ok", "warn", "error", "stale"]


@dataclass(frozen=True)
class HealthLimits:
    """What is still healthy.

    Attributes:
        latency_budget_ms: median latency from stamp to publication, ms.
        stale_after_s: time without a frame, s.
    """

    latency_budget_ms: float
    stale_after_s: float


@dataclass(frozen=True)
class HealthReport:
    """The health of one camera at one moment.

    Attributes:
        level: the worst thing found.
        message: what it is, in words.
        rate_hz: frames served per second.
        latency_ms_p50: median latency; 0 without frames. While frames come and none is served,
            of those that were served last.
        latency_ms_p95: 95th percentile of the latency, likewise.
        keyframe_share: keyframes among the served frames, 0..1.
        is_lossy: whether many frames were lost on the way, worse or not than what `level` says.
    """

    level: Level
    message: str
    rate_hz: float
    latency_ms_p50: float
    latency_ms_p95: float
    keyframe_share: float
    is_lossy: bool


@dataclass(frozen=True)
class _Served:
    time_ns: int
    is_keyframe: bool
    latency_ms: float


class StreamHealth:
    """Watches one camera; all times are of the node's clock, which may stop or go back.

    Frames come from the inference thread, reports from the executor's.

    Args:
        counts: of the camera, as they are now.
    """

    def __init__(self, counts: CountsSnapshot) -> None:
        self._lock = Lock()
        self._served: deque[_Served] = deque(maxlen=4096)
        self._latencies: list[float] = []
        self._last_received_ns: int | None = None
        self._late_since_ns: int | None = None
        self._unserved_since_ns: int | None = None
        self._before = counts
        self._progress = counts

    def received(self, now_ns: int) -> None:
        """Note that a frame arrived."""
        self._last_received_ns = now_ns

    def served(self, now_ns: int, is_keyframe: bool, latency_ms: float) -> None:
        """Note that a frame was published."""
        with self._lock:
            # A recording that starts over: its times come again, the frames of before do not.
            if self._served and now_ns < self._served[-1].time_ns:
                self._served.clear()
            self._served.append(_Served(now_ns, is_keyframe, latency_ms))

    def report(self, now_ns: int, counts: CountsSnapshot, limits: HealthLimits) -> HealthReport:
        """Judge the time since the last report.

        Args:
            now_ns: the node's time, ns.
            counts: of the camera so far.
            limits: what is still healthy.
        """
        with self._lock:
            window = [
                entry for entry in self._served if 0 <= now_ns - entry.time_ns <= WINDOW_S * 1e9
            ]
        before, self._before = self._before, counts
        sent_now, lost_now = counts.sent - before.sent, _dropped(counts, before, "lost")
        is_lossy = lost_now > LOST_SHARE * sent_now
        is_paused = _dropped(counts, before, "paused") > 0
        # Where frames come and none is served, they are as late as they were.
        if window or is_paused or sent_now <= lost_now:
            self._latencies = sorted(entry.latency_ms for entry in window)
        median = _percentile(self._latencies, 0.5)
        late_s = self._late_s(now_ns, median > limits.latency_budget_ms)
        unserved = self._unserved(now_ns, counts, is_paused)
        level, message = self._judge(now_ns, median, late_s, unserved, limits)
        if level == "ok" and is_lossy:
            level, message = "warn", f"{lost_now} of {sent_now} frames were lost {LOSS_CURE}"
        return HealthReport(
            level,
            message or f"{len(window) / WINDOW_S:.1f} Hz",
            rate_hz=len(window) / WINDOW_S,
            latency_ms_p50=median,
            latency_ms_p95=_percentile(self._latencies, 0.95),
            keyframe_share=sum(entry.is_keyframe for entry in window) / max(1, len(window)),
            is_lossy=is_lossy,
        )

    def _late_s(self, now_ns: int, is_late: bool) -> float:
        if not is_late:
            self._late_since_ns = None
            return 0.0
        if self._late_since_ns is None or self._late_since_ns > now_ns:
            self._late_since_ns = now_ns
        return 1e-9 * (now_ns - self._late_since_ns)

    def _unserved(self, now_ns: int, counts: CountsSnapshot, is_paused: bool) -> Counter[str]:
        """Return why frames were dropped since one was served, if that has lasted; else empty."""
        if is_paused or counts.served != self._progress.served:
            self._progress = counts
        dropped = Counter(counts.dropped) - Counter(self._progress.dropped)
        del dropped["lost"]  # those did not reach the node
        if not dropped:
            self._unserved_since_ns = None
            return dropped
        if self._unserved_since_ns is None or self._unserved_since_ns > now_ns:
            self._unserved_since_ns = now_ns
        patience_s = WINDOW_S
        if set(dropped) == {"busy"}:  # one frame may take long, and then the next is served
            patience_s = max(BUSY_S, 3e-3 * max(self._latencies, default=0.0))
        return dropped if now_ns - self._unserved_since_ns >= patience_s * 1e9 else Counter()

    def _judge(
        self,
        now_ns: int,
        median: float,
        late_s: float,
        unserved: Counter[str],
        limits: HealthLimits,
    ) -> tuple[Level, str]:
        last = self._last_received_ns
        if last is None:
            return "stale", "no frame yet"
        if last > now_ns:
            # The clock went back (a recording started over): count from here.
            self._last_received_ns = last = now_ns
        silent_s = 1e-9 * (now_ns - last)
        if silent_s > limits.stale_after_s:
            return "stale", f"no frame for {silent_s:.1f} s"
        if unserved:
            ((reason, number),) = unserved.most_common(1)
            return "error", (
                f"no frame is served: {number} of {unserved.total()} dropped as {reason}"
            )
        if median > limits.latency_budget_ms:
            text = f"latency {median:.0f} ms exceeds the budget of {limits.latency_budget_ms:g} ms"
            if late_s >= LASTING_S:
                return "error", f"{text} for {late_s:.0f} s"
            return "warn", text
        return "ok", ""


def _dropped(counts: CountsSnapshot, before: CountsSnapshot, reason: str) -> int:
    return counts.dropped.get(reason, 0) - before.dropped.get(reason, 0)


def _percentile(ordered: list[float], share: float) -> float:
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
