# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Rate and latency of one camera, and what is wrong with them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from statistics import median
from threading import Lock
from typing import Literal

from gsvnet_ros.health.frame_counts import CountsSnapshot
from gsvnet_ros.health.stamp_clock import ClockMismatch, StampClock

WINDOW_S = 2.0
"""Rates and percentiles are taken over this time."""

LASTING_S = 5.0
"""A latency above the budget for this long is an error."""

BUSY_S = 10.0
"""A node that serves nothing for this long, or three of its latencies, and is busy, hangs."""

LOST_SHARE = 0.2
"""A larger share of frames lost on the way is worth a warning."""

_PERIODS = 5
"""The usual time between two frames is the median of this many."""

_MISSED_PERIODS = 3.0
"""A camera is silent when this many of its usual periods have passed without a frame."""

_UNKNOWN_PERIOD_S = 10.0
"""Patience, in s, with a camera of which only one frame has come."""

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
        message: the worst thing found, in words.
        rate_hz: frames served per second.
        latency_ms_p50: median latency, ms; 0 without frames, None where stamps and clock are not
            of one time. While frames come and none is served, that of the frames served last.
        latency_ms_p95: 95th percentile of the latency, ms; 0 and None as for the median.
        keyframe_share: keyframes among the served frames, 0..1.
        is_lossy: whether many frames were lost on the way, whatever `level` says.
        is_silent: whether no frame has come for longer than `stale_after_s` and than this camera
            usually takes from one frame to the next.
        has_frames: whether any frame has come at all.
        clock_mismatch: the newest frame, if its stamp and the clock are not of one time.
    """

    level: Level
    message: str
    rate_hz: float
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    keyframe_share: float
    is_lossy: bool
    is_silent: bool
    has_frames: bool
    clock_mismatch: ClockMismatch | None


@dataclass(frozen=True)
class _Served:
    time_ns: int
    is_keyframe: bool
    latency_ms: float | None


class StreamHealth:
    """Watches one camera on a steady clock, which neither stops nor goes back.

    Frames come from the inference thread, reports from the executor's.

    Args:
        counts: frame counts of the camera at this moment.
    """

    def __init__(self, counts: CountsSnapshot) -> None:
        self.stamp_clock = StampClock()
        self._lock = Lock()
        self._served: deque[_Served] = deque(maxlen=4096)
        self._latencies: list[float] = []
        self._last_received_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=_PERIODS)
        self._late_since_ns: int | None = None
        self._unserved_since_ns: int | None = None
        self._before = counts
        self._progress = counts

    def received(self, now_ns: int) -> None:
        """Note that a frame arrived.

        Args:
            now_ns: time of the steady clock, ns.
        """
        if self._last_received_ns is not None:
            self._gaps_ns.append(now_ns - self._last_received_ns)
        self._last_received_ns = now_ns

    def served(self, now_ns: int, is_keyframe: bool, latency_ms: float | None) -> None:
        """Note that a frame was published.

        Args:
            now_ns: time of the steady clock, ns.
            is_keyframe: whether the frame was a keyframe.
            latency_ms: time from its stamp to its publication, ms; None where unknown.
        """
        with self._lock:
            self._served.append(_Served(now_ns, is_keyframe, latency_ms))

    def report(self, now_ns: int, counts: CountsSnapshot, limits: HealthLimits) -> HealthReport:
        """Judge the time since the last report.

        Args:
            now_ns: time of the steady clock, ns.
            counts: frame counts of the camera so far.
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
            self._latencies = sorted(
                entry.latency_ms for entry in window if entry.latency_ms is not None
            )
        mismatch = self.stamp_clock.mismatch
        is_latency_known = mismatch is None and (bool(self._latencies) or not window)
        middle = _percentile(self._latencies, 0.5)
        late_s = self._late_s(now_ns, is_latency_known and middle > limits.latency_budget_ms)
        unserved = self._unserved(now_ns, counts, is_paused)
        rate_hz = len(window) / WINDOW_S
        level, message = self._judge(now_ns, middle, late_s, unserved, limits)
        if level == "ok" and is_lossy:
            level = "warn"
            message = (
                f"{lost_now} of {sent_now} frames were lost before they reached the node (its log "
                "says what cures it)"
            )
        if level == "ok" and mismatch is not None:
            level, message = "warn", f"{rate_hz:.1f} Hz; {mismatch.describe()}"
        return HealthReport(
            level,
            message or f"{rate_hz:.1f} Hz",
            rate_hz=rate_hz,
            latency_ms_p50=middle if is_latency_known else None,
            latency_ms_p95=_percentile(self._latencies, 0.95) if is_latency_known else None,
            keyframe_share=sum(entry.is_keyframe for entry in window) / max(1, len(window)),
            is_lossy=is_lossy,
            is_silent=self._silent_s(now_ns) > max(limits.stale_after_s, self._patience_s()),
            has_frames=self._last_received_ns is not None,
            clock_mismatch=mismatch,
        )

    def _silent_s(self, now_ns: int) -> float:
        """Return for how long no frame has come, in s."""
        last = self._last_received_ns
        # A frame may come between the moment of a report and its making.
        return float("inf") if last is None else max(0.0, 1e-9 * (now_ns - last))

    def _patience_s(self) -> float:
        """Return how long this camera may take for its next frame, in s."""
        if not self._gaps_ns:
            return _UNKNOWN_PERIOD_S
        return _MISSED_PERIODS * 1e-9 * median(self._gaps_ns)

    def _late_s(self, now_ns: int, is_late: bool) -> float:
        if not is_late:
            self._late_since_ns = None
            return 0.0
        if self._late_since_ns is None:
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
        if self._unserved_since_ns is None:
            self._unserved_since_ns = now_ns
        patience_s = WINDOW_S
        if set(dropped) == {"busy"}:  # one frame may take long, and then the next is served
            patience_s = max(BUSY_S, 3e-3 * max(self._latencies, default=0.0))
        return dropped if now_ns - self._unserved_since_ns >= patience_s * 1e9 else Counter()

    def _judge(
        self,
        now_ns: int,
        middle_ms: float,
        late_s: float,
        unserved: Counter[str],
        limits: HealthLimits,
    ) -> tuple[Level, str]:
        if self._last_received_ns is None:
            return "stale", "no frame yet"
        silent_s = self._silent_s(now_ns)
        if silent_s > limits.stale_after_s:
            return "stale", f"no frame for {silent_s:.1f} s"
        if unserved:
            ((reason, number),) = unserved.most_common(1)
            return "error", (
                f"no frame is served: {number} of {unserved.total()} dropped as {reason}"
            )
        if self._late_since_ns is not None:
            text = (
                f"latency {middle_ms:.0f} ms exceeds the budget of {limits.latency_budget_ms:g} ms"
            )
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
