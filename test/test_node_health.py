# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What diagnostics say about rate, latency, silence and stamps."""

from __future__ import annotations

import pytest
import torch
from models import random_model
from std_msgs.msg import Header
from test_output_publishers import SEGMENTATION

from gsvnet_ros.health.diagnostics import camera_status, frame_status, node_status
from gsvnet_ros.health.frame_counts import CountsSnapshot
from gsvnet_ros.health.stamp_clock import StampClock
from gsvnet_ros.health.stream_health import HealthLimits, HealthReport, StreamHealth
from gsvnet_ros.node.camera_watch import Debounce

LIMITS = HealthLimits(latency_budget_ms=100.0, stale_after_s=1.0)
SECOND_NS = 10**9


def counted(sent: int = 0, served: int = 0, **dropped: int) -> CountsSnapshot:
    """Return counts; those that do not matter are none."""
    return CountsSnapshot(sent, served, dropped)


NOTHING = counted()


def run(
    health: StreamHealth, start_s: float, duration_s: float, latency_ms: float, rate_hz: int = 10
) -> HealthReport:
    """Serve frames for some time, report once a second, and return the last report."""
    report = health.report(int(start_s * SECOND_NS), NOTHING, LIMITS)
    for number in range(int(duration_s * rate_hz)):
        now_ns = int((start_s + (number + 1) / rate_hz) * SECOND_NS)
        health.received(now_ns)
        health.served(now_ns, number % 5 == 0, latency_ms)
        if (number + 1) % rate_hz == 0:
            report = health.report(now_ns, NOTHING, LIMITS)
    return report


def test_good_stream_is_ok_with_its_rate() -> None:
    report = run(StreamHealth(NOTHING), 0.0, 4.0, latency_ms=50.0)
    assert (report.level, report.latency_ms_p50) == ("ok", 50.0)
    assert 9.0 <= report.rate_hz <= 11.0
    assert 0.15 <= report.keyframe_share <= 0.25
    assert "Hz" in report.message


def test_late_stream_warns_and_becomes_an_error_when_it_lasts() -> None:
    health = StreamHealth(NOTHING)
    assert run(health, 0.0, 3.0, latency_ms=150.0).level == "warn"
    report = run(health, 3.0, 4.0, latency_ms=150.0)
    assert report.level == "error"
    assert "150 ms exceeds the budget of 100 ms" in report.message
    assert run(health, 7.0, 4.0, latency_ms=20.0).level == "ok"


def test_silence_is_stale_and_recovers() -> None:
    health = StreamHealth(NOTHING)
    assert health.report(0, NOTHING, LIMITS).level == "stale"
    run(health, 0.0, 2.0, latency_ms=5.0)
    report = health.report(int(3.5 * SECOND_NS), NOTHING, LIMITS)
    assert (report.level, report.message) == ("stale", "no frame for 1.5 s")
    assert run(health, 4.0, 2.0, latency_ms=5.0).level == "ok"


def test_losses_show_beside_what_is_worse() -> None:
    health = StreamHealth(NOTHING)
    run(health, 0.0, 2.0, latency_ms=150.0)
    report = health.report(2 * SECOND_NS, counted(sent=30, lost=20), LIMITS)
    assert "exceeds the budget" in report.message
    assert report.is_lossy
    assert not health.report(2 * SECOND_NS, counted(sent=60, lost=20), LIMITS).is_lossy


def test_losses_on_the_way_are_a_warning() -> None:
    health = StreamHealth(NOTHING)
    run(health, 0.0, 2.0, latency_ms=5.0)
    now_ns = 2 * SECOND_NS
    report = health.report(now_ns, counted(sent=30, lost=20), LIMITS)
    assert report.level == "warn"
    assert "20 of 30 frames were lost before they reached the node" in report.message
    assert health.report(now_ns, counted(sent=60, lost=21), LIMITS).level == "ok"


def drop_all(
    health: StreamHealth, before: CountsSnapshot, start_s: int, duration_s: int, *reasons: str
) -> list[HealthReport]:
    """Drop every frame of some time, for these reasons in turn; return the reports."""
    reports, sent, dropped = [], before.sent, dict(before.dropped)
    for second in range(start_s, start_s + duration_s):
        for reason in reasons:
            sent += 1
            dropped[reason] = dropped.get(reason, 0) + 1
        now_ns = (second + 1) * SECOND_NS
        health.received(now_ns)
        reports.append(
            health.report(now_ns, CountsSnapshot(sent, before.served, dict(dropped)), LIMITS)
        )
    return reports


def test_frames_none_of_which_is_served_are_an_error_that_names_the_reason() -> None:
    health = StreamHealth(NOTHING)
    reasons = ("bad_encoding", "busy", "bad_encoding")
    levels = [report.level for report in drop_all(health, NOTHING, 0, 5, *reasons)]
    assert levels == ["ok", "ok", "error", "error", "error"]
    report = drop_all(health, counted(15, bad_encoding=10, busy=5), 5, 1, "busy")[-1]
    assert report.message == "no frame is served: 10 of 16 dropped as bad_encoding"
    # One that is served ends it, and what was dropped before does not count.
    served = counted(17, 1, bad_encoding=10, busy=6)
    health.served(7 * SECOND_NS, True, 10.0)
    assert health.report(7 * SECOND_NS, served, LIMITS).level == "ok"
    levels = [report.level for report in drop_all(health, served, 7, 3, "failed")]
    assert levels == ["ok", "ok", "error"]


def test_a_frame_may_take_long_but_not_for_ever() -> None:
    health = StreamHealth(NOTHING)
    levels = [report.level for report in drop_all(health, NOTHING, 0, 12, "busy")]
    assert levels == ["ok"] * 10 + ["error"] * 2
    health = StreamHealth(NOTHING)
    health.served(0, True, 4000.0)
    reports = drop_all(health, counted(1), 0, 14, "busy")
    assert ["no frame" in report.message for report in reports] == [False] * 12 + [True] * 2


def test_late_frames_are_over_when_no_more_come() -> None:
    patient = HealthLimits(latency_budget_ms=100.0, stale_after_s=30.0)
    health = StreamHealth(NOTHING)
    assert run(health, 0.0, 2.0, latency_ms=150.0).level == "warn"
    for second in range(5, 12):
        report = health.report(second * SECOND_NS, NOTHING, patient)
        assert (report.level, report.latency_ms_p50) == ("ok", 0.0)


def test_frames_that_are_lost_or_paused_are_no_error() -> None:
    health = StreamHealth(NOTHING)
    assert {r.level for r in drop_all(health, NOTHING, 0, 5, "paused", "failed")} == {"ok"}
    health = StreamHealth(NOTHING)
    assert {r.level for r in drop_all(health, NOTHING, 0, 5, "lost")} == {"warn"}


def test_late_frames_stay_late_while_none_is_served() -> None:
    health = StreamHealth(NOTHING)
    assert run(health, 0.0, 4.0, latency_ms=1500.0).level == "warn"
    (report,) = drop_all(health, NOTHING, 8, 1, "busy")
    assert (report.level, report.latency_ms_p50, report.rate_hz) == ("error", 1500.0, 0.0)
    assert "exceeds the budget of 100 ms for 8 s" in report.message
    (report,) = drop_all(health, counted(1, busy=1), 9, 1, "paused")
    assert (report.level, report.latency_ms_p50) == ("ok", 0.0)
    run(health, 10.0, 1.0, latency_ms=1500.0)
    assert health.report(20 * SECOND_NS, NOTHING, LIMITS).level == "stale"
    health.received(21 * SECOND_NS)
    assert health.report(21 * SECOND_NS, NOTHING, LIMITS).level == "ok"


def test_a_condition_begins_and_ends_once() -> None:
    condition = Debounce(begins_after=3, ends_after=2)
    looks = (1, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0)
    changes = [condition.changes(bool(look)) for look in looks]
    assert [index for index, change in enumerate(changes) if change] == [5, 10]
    assert not condition.is_on


@pytest.mark.parametrize(("period_s", "silent_after_s"), [(0.03, 1.0), (6.0, 18.0), (0.5, 1.5)])
def test_a_camera_is_silent_by_its_own_pace(period_s: float, silent_after_s: float) -> None:
    health = StreamHealth(NOTHING)
    for number in range(20):
        frame_s = number * period_s
        health.received(int(frame_s * SECOND_NS))
        for look in range(1, int(period_s) + 1):
            report = health.report(int((frame_s + look - 0.5) * SECOND_NS), NOTHING, LIMITS)
            assert not report.is_silent
    for share in (0.99, 1.01):
        silent_ns = int((frame_s + share * silent_after_s) * SECOND_NS)
        assert health.report(silent_ns, NOTHING, LIMITS).is_silent == (share > 1)


def test_silence_before_the_first_frame_and_after_a_single_one() -> None:
    health = StreamHealth(NOTHING)
    report = health.report(0, NOTHING, LIMITS)
    assert (report.is_silent, report.has_frames) == (True, False)
    health.received(0)
    assert not health.report(9 * SECOND_NS, NOTHING, LIMITS).is_silent
    report = health.report(11 * SECOND_NS, NOTHING, LIMITS)
    assert (report.is_silent, report.has_frames) == (True, True)


NOW_NS = 1_800_000_000 * SECOND_NS


@pytest.mark.parametrize(
    ("stamp_ns", "clock_ns", "is_simulated", "cure"),
    [
        (0, NOW_NS, False, "let the camera driver stamp its images"),
        (7 * 3600 * SECOND_NS, NOW_NS, False, "with the system time"),
        (NOW_NS + 2 * SECOND_NS, NOW_NS, False, "synchronise the clocks"),
        (NOW_NS - 120 * SECOND_NS, NOW_NS, False, "of a recording, play it with --clock"),
        (NOW_NS, 0, True, "start the simulation that publishes /clock"),
        (NOW_NS, 40 * SECOND_NS, True, "set use_sim_time alike"),
    ],
)
def test_stamps_of_another_time_are_told_with_both_values(
    stamp_ns: int, clock_ns: int, is_simulated: bool, cure: str
) -> None:
    clock = StampClock()
    clock.received(stamp_ns, clock_ns, is_simulated)
    assert clock.age_s(stamp_ns, clock_ns) is None
    assert clock.mismatch is not None
    assert f"{stamp_ns / SECOND_NS:.3f} s" in clock.mismatch.describe()
    assert f"{clock_ns / SECOND_NS:.3f} s" in clock.mismatch.describe()
    assert cure in clock.mismatch.cure()


def test_a_frame_is_late_only_where_others_came_in_time() -> None:
    clock = StampClock()
    late_ns = NOW_NS - 600 * SECOND_NS
    clock.received(late_ns, NOW_NS, False)
    assert clock.age_s(late_ns, NOW_NS) is None
    clock.received(NOW_NS + SECOND_NS // 2, NOW_NS, False)
    assert clock.age_s(NOW_NS + SECOND_NS // 2, NOW_NS) == -0.5
    clock.received(late_ns, NOW_NS, False)
    assert clock.age_s(late_ns, NOW_NS) == 600.0
    # Age grows while the frame waits in this node; that is lateness, however long.
    assert clock.age_s(late_ns, NOW_NS + 9000 * SECOND_NS) == 9600.0
    clock.received(NOW_NS - 4000 * SECOND_NS, NOW_NS, False)
    assert clock.mismatch is not None


def test_latency_is_left_out_where_stamps_and_clock_do_not_fit() -> None:
    health = StreamHealth(NOTHING)
    health.received(0)
    health.stamp_clock.received(0, NOW_NS, False)
    health.served(0, True, None)
    report = health.report(0, NOTHING, LIMITS)
    assert (report.level, report.latency_ms_p50) == ("warn", None)
    assert report.message.startswith("0.5 Hz; stamps and clock are not of one time")
    values = {entry.key for entry in camera_status("camera", report, NOTHING).values}
    assert "rate_hz" in values and not any("latency" in value for value in values)
    health.stamp_clock.received(NOW_NS, NOW_NS, False)
    health.served(1, False, 20.0)
    report = health.report(1, NOTHING, LIMITS)
    assert (report.level, report.latency_ms_p50, report.latency_ms_p95) == ("ok", 20.0, 20.0)


def test_text_of_a_peer_is_shown_on_one_line() -> None:
    frame_id = "camera\n[ERROR] [safety]: \x1b[31mforged" + 10**6 * "x"
    status = frame_status("camera", Header(frame_id=frame_id), SEGMENTATION, {}, {}, NOTHING)
    (value,) = (entry.value for entry in status.values if entry.key == "frame_id")
    assert value.isprintable() and len(value) < 200 and value.startswith("'camera\\n[ERROR]")
    plain = frame_status("camera", Header(frame_id="front"), SEGMENTATION, {}, {}, NOTHING)
    assert "front" in {entry.value for entry in plain.values}


def test_memory_of_the_device_is_what_torch_holds_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of what CUDA graphs work in belongs to no tensor."""
    model = random_model()
    model.device = torch.device("cuda", 1)
    reserved = {model.device: 300 * 2**20}
    monkeypatch.setattr(torch.cuda, "memory_reserved", reserved.__getitem__)
    values = {entry.key: entry.value for entry in node_status("node", "active", "", model).values}
    assert (values["device"], values["device_memory_mib"]) == ("cuda:1", "300")
