# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What diagnostics say about rate, latency and silence, on any clock."""

from __future__ import annotations

from gsvnet_ros.episode import Episode
from gsvnet_ros.stream_health import HealthLimits, HealthReport, StreamHealth

LIMITS = HealthLimits(latency_budget_ms=100.0, stale_after_s=1.0)
SECOND_NS = 10**9


def run(
    health: StreamHealth, start_s: float, duration_s: float, latency_ms: float, rate_hz: int = 10
) -> HealthReport:
    """Serve frames for some time, report once a second, and return the last report."""
    report = health.report(int(start_s * SECOND_NS), 0, 0, LIMITS)
    for number in range(int(duration_s * rate_hz)):
        now_ns = int((start_s + (number + 1) / rate_hz) * SECOND_NS)
        health.received(now_ns)
        health.served(now_ns, number % 5 == 0, latency_ms)
        if (number + 1) % rate_hz == 0:
            report = health.report(now_ns, 0, 0, LIMITS)
    return report


def test_good_stream_is_ok_with_its_rate() -> None:
    report = run(StreamHealth(), 0.0, 4.0, latency_ms=50.0)
    assert (report.level, report.latency_ms_p50) == ("ok", 50.0)
    assert 9.0 <= report.rate_hz <= 11.0
    assert 0.15 <= report.keyframe_share <= 0.25
    assert "Hz" in report.message


def test_late_stream_warns_and_becomes_an_error_when_it_lasts() -> None:
    health = StreamHealth()
    assert run(health, 0.0, 3.0, latency_ms=150.0).level == "warn"
    report = run(health, 3.0, 4.0, latency_ms=150.0)
    assert report.level == "error"
    assert "150 ms exceeds the budget of 100 ms" in report.message
    assert run(health, 7.0, 4.0, latency_ms=20.0).level == "ok"


def test_silence_is_stale_and_recovers() -> None:
    health = StreamHealth()
    assert health.report(0, 0, 0, LIMITS).level == "stale"
    run(health, 0.0, 2.0, latency_ms=5.0)
    report = health.report(int(3.5 * SECOND_NS), 0, 0, LIMITS)
    assert (report.level, report.message) == ("stale", "no frame for 1.5 s")
    assert run(health, 4.0, 2.0, latency_ms=5.0).level == "ok"


def test_stopped_clock_is_not_stale_and_a_clock_that_goes_back_recovers() -> None:
    health = StreamHealth()
    run(health, 100.0, 2.0, latency_ms=5.0)
    for _ in range(10):
        assert health.report(102 * SECOND_NS, 0, 0, LIMITS).level == "ok"
    assert health.report(3 * SECOND_NS, 0, 0, LIMITS).level == "ok"
    assert health.report(5 * SECOND_NS, 0, 0, LIMITS).level == "stale"
    report = run(health, 5.0, 3.0, latency_ms=5.0)
    assert report.level == "ok"
    assert 9.0 <= report.rate_hz <= 11.0


def test_a_recording_that_starts_over_forgets_the_loop_before() -> None:
    health = StreamHealth()
    slow = run(health, 100.0, 10.0, latency_ms=500.0)
    assert (slow.level, slow.latency_ms_p50) == ("error", 500.0)
    for _ in range(3):
        report = run(health, 100.0, 10.0, latency_ms=10.0)
        assert (report.level, report.latency_ms_p50) == ("ok", 10.0)
        assert 9.0 <= report.rate_hz <= 11.0


def test_losses_show_beside_what_is_worse() -> None:
    health = StreamHealth()
    run(health, 0.0, 2.0, latency_ms=150.0)
    report = health.report(2 * SECOND_NS, sent=30, lost=20, limits=LIMITS)
    assert "exceeds the budget" in report.message
    assert report.is_lossy
    assert not health.report(2 * SECOND_NS, sent=60, lost=20, limits=LIMITS).is_lossy


def test_losses_on_the_way_name_the_cure() -> None:
    health = StreamHealth()
    run(health, 0.0, 2.0, latency_ms=5.0)
    now_ns = 2 * SECOND_NS
    report = health.report(now_ns, sent=30, lost=20, limits=LIMITS)
    assert report.level == "warn"
    assert "20 of 30 frames were lost" in report.message
    assert "fastdds_shm.xml" in report.message
    assert health.report(now_ns, sent=60, lost=21, limits=LIMITS).level == "ok"


def test_an_episode_begins_and_ends_once() -> None:
    episode = Episode(begins_after=3, ends_after=2)
    looks = (1, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0)
    changes = [episode.changes(bool(look)) for look in looks]
    assert [index for index, change in enumerate(changes) if change] == [5, 10]
    assert not episode.is_on
