# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Counting frames, finding lost ones, and the queue between the threads."""

from __future__ import annotations

import threading

import pytest
from sensor_msgs.msg import Image

from gsvnet_ros.health.frame_counts import FrameCounts, LossCount, SequenceWatch
from gsvnet_ros.node.continuity import FrameOrigin, find_discontinuity
from gsvnet_ros.node.frame_queue import FrameQueue, ReceivedFrame

SECOND_NS = 10**9
ORIGIN = FrameOrigin(
    stamp_ns=SECOND_NS,
    frame_id="camera",
    publisher=b"a",
    sequence=7,
    source_ns=SECOND_NS,
    before_ns=None,
)
EARLIER = {"stamp_ns": SECOND_NS - 9, "source_ns": SECOND_NS - 9}
"""Taken and published at earlier times than ORIGIN, by a clock that may have been set back."""


def frame(index: int) -> ReceivedFrame:
    """Return a frame that can be told from others."""
    return ReceivedFrame(Image(height=index), b"publisher", index, index, None)


def test_sent_is_served_dropped_and_waiting() -> None:
    counts = FrameCounts()
    counts.receive(lost_before=0)
    counts.receive(lost_before=3)
    counts.serve()
    counts.drop("bad_data")
    snapshot = counts.snapshot()
    assert (snapshot.sent, snapshot.served, snapshot.waiting) == (5, 1, 0)
    assert snapshot.dropped == {"lost": 3, "bad_data": 1}
    counts.receive(lost_before=0)
    assert counts.snapshot().waiting == 1


def test_losses_that_two_sources_tell_of_count_once() -> None:
    losses = LossCount()
    assert losses.add_report(5) == 5  # nothing arrives
    assert losses.add_gap(6) == 1  # one does, and its number shows the same losses
    assert losses.add_gap(1) == 1
    assert losses.add_report(2) == 0  # of the last two, after the frame that showed them
    assert losses.add_report(1) == 1


def test_losses_are_counted_where_nothing_arrives() -> None:
    counts = FrameCounts()
    counts.lose(3)
    counts.lose(0)
    snapshot = counts.snapshot()
    assert (snapshot.sent, snapshot.served, snapshot.waiting) == (3, 0, 0)
    assert snapshot.dropped == {"lost": 3}


def test_gap_in_the_sequence_is_lost() -> None:
    watch = SequenceWatch(listening_since_ns=0)
    lost = [watch.lost_before(b"a", number, number * SECOND_NS) for number in (1, 2, 5, 6)]
    assert lost == [0, 0, 2, 0]


def test_frames_before_the_first_count_if_the_node_listened() -> None:
    started_later = SequenceWatch(listening_since_ns=0)
    assert started_later.lost_before(b"a", 4, 100 * SECOND_NS) == 0
    assert started_later.lost_before(b"a", 5, 101 * SECOND_NS) == 3
    started_earlier = SequenceWatch(listening_since_ns=99 * SECOND_NS)
    assert started_earlier.lost_before(b"a", 4000, 100 * SECOND_NS) == 0
    assert started_earlier.lost_before(b"a", 4001, 101 * SECOND_NS) == 0


def test_publishers_are_watched_apart() -> None:
    watch = SequenceWatch(listening_since_ns=0)
    assert watch.lost_before(b"a", 1, 1) == 0
    assert watch.lost_before(b"b", 1, 2) == 0
    assert watch.lost_before(b"a", 2, 3) == 0
    assert watch.lost_before(b"b", 4, 4) == 2
    for number in range(1000):
        watch.lost_before(str(number).encode(), 1, 5)
    assert watch.lost_before(b"a", 9, 6) == 0  # forgotten: the memory is bounded


def test_a_publisher_that_goes_on_is_not_forgotten() -> None:
    watch = SequenceWatch(listening_since_ns=0)
    for number in range(1, 100):
        assert watch.lost_before(b"camera", number, number * SECOND_NS) == 0
        watch.lost_before(f"passing {number}".encode(), 1, number * SECOND_NS)


def test_newest_frame_wins_and_the_overtaken_is_busy() -> None:
    counts = FrameCounts()
    queue = FrameQueue([counts], places=1, keep_newest=True)
    for index in range(3):
        queue.put(0, frame(index))
    assert queue.take([0]) == [(0, frame(2))]
    assert counts.snapshot().dropped == {"busy": 2}


def test_full_queue_refuses_new_frames_and_keeps_the_order() -> None:
    counts = FrameCounts()
    queue = FrameQueue([counts], places=2, keep_newest=False)
    for index in range(3):
        queue.put(0, frame(index))
    assert [queue.take([0]) for _ in range(2)] == [[(0, frame(0))], [(0, frame(1))]]
    assert counts.snapshot().dropped == {"busy": 1}


def test_one_thread_takes_one_frame_of_each_of_its_cameras() -> None:
    queue = FrameQueue([FrameCounts() for _ in range(3)], places=9, keep_newest=False)
    for index in range(3):
        queue.put(0, frame(index))
    queue.put(2, frame(9))
    assert queue.take(range(3)) == [(0, frame(0)), (2, frame(9))]
    assert queue.take(range(3)) == [(0, frame(1))]


def test_a_thread_waits_for_its_own_camera_alone() -> None:
    queue = FrameQueue([FrameCounts() for _ in range(2)], places=9, keep_newest=False)
    taken: list[object] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take([1])))
    taker.start()
    queue.put(0, frame(0))
    taker.join(0.2)
    assert taken == []
    queue.put(1, frame(1))
    taker.join(60)
    assert taken == [[(1, frame(1))]]
    assert queue.take([0]) == [(0, frame(0))]


def test_close_wakes_the_taker_and_counts_what_waited() -> None:
    counts = FrameCounts()
    queue = FrameQueue([counts], places=1, keep_newest=True)
    taken: list[object] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take([0])))
    taker.start()
    queue.close()
    taker.join(60)
    assert taken == [[]]
    queue.put(0, frame(1))
    assert counts.snapshot().dropped == {"stopped": 1}


@pytest.mark.parametrize(
    ("changes", "jump"),
    [
        ({"stamp_ns": SECOND_NS}, ""),
        ({"stamp_ns": 2 * SECOND_NS}, ""),
        ({"stamp_ns": 2 * SECOND_NS + 1}, "gap"),
        ({"stamp_ns": 4 * SECOND_NS, "before_ns": 3 * SECOND_NS - 1}, "gap"),
        ({"stamp_ns": 4 * SECOND_NS, "before_ns": 3 * SECOND_NS}, "delay"),
        ({"stamp_ns": 2 * SECOND_NS, "before_ns": SECOND_NS}, ""),
        ({"stamp_ns": SECOND_NS - 1, "source_ns": 2 * SECOND_NS}, "stamp_back"),
        ({**EARLIER, "sequence": 6}, "out_of_order"),
        ({**EARLIER, "sequence": 8}, "stamp_back"),
        ({**EARLIER, "sequence": None}, "out_of_order"),
        ({**EARLIER, "sequence": None, "before_ns": SECOND_NS}, "out_of_order"),
        ({**EARLIER, "sequence": None, "before_ns": SECOND_NS - 10}, "stamp_back"),
        ({"stamp_ns": SECOND_NS + 1, "source_ns": 0}, ""),
        ({"frame_id": "other"}, "frame_id"),
        ({"publisher": b"b", "stamp_ns": 0}, "publisher"),
    ],
)
def test_jumps_are_told_apart(changes: dict[str, object], jump: str) -> None:
    current = FrameOrigin(**{**vars(ORIGIN), **changes})
    assert find_discontinuity(ORIGIN, current, max_gap_s=1.0) == jump


@pytest.mark.parametrize(
    ("before_ns", "jump"), [(SECOND_NS, "out_of_order"), (SECOND_NS - 10, "stamp_back")]
)
def test_numbers_of_an_unknown_publisher_say_nothing(before_ns: int, jump: str) -> None:
    previous = FrameOrigin(**{**vars(ORIGIN), "publisher": b""})
    for sequence in (6, 8):
        changes = {**EARLIER, "sequence": sequence, "before_ns": before_ns}
        current = FrameOrigin(**{**vars(previous), **changes})
        assert find_discontinuity(previous, current, max_gap_s=1.0) == jump


def test_first_frame_is_no_jump_and_gaps_can_be_allowed() -> None:
    assert find_discontinuity(None, ORIGIN, max_gap_s=1.0) == ""
    late = FrameOrigin(**{**vars(ORIGIN), "stamp_ns": 10**15})
    assert find_discontinuity(ORIGIN, late, max_gap_s=0.0) == ""
