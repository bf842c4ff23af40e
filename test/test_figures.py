# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The figures of a recorded run add up, or say that they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gsvnet_ros.tools.figures import figures_table, run_figures
from gsvnet_ros.tools.recording import Recording, save_masks
from gsvnet_ros.tools.review import review, sheet_indices
from gsvnet_ros.tools.sustainable_rate import sustainable_rate_hz

PUBLISHED_NS = [100_000_000 * index for index in range(1, 11)]


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Ten frames at 10 Hz of which every second came back, 30 ms after its stamp."""
    recording = Recording(tmp_path)
    for index, stamp_ns in enumerate(PUBLISHED_NS):
        if index % 2 == 0:
            recording.add_mask(stamp_ns, np.full((4, 6), index, np.uint8), stamp_ns + 30_000_000)
            recording.add_confidence(stamp_ns, np.full((4, 6), 200 + index, np.uint8))
            recording.frame(stamp_ns).status = {"keyframe_age": str(index % 4), "step_ms": "20.0"}
    return recording


def counts(**values: int) -> dict[str, str]:
    return {key.replace("__", "."): str(value) for key, value in values.items()}


def test_every_frame_is_accounted_for(recording: Recording) -> None:
    figures = run_figures(PUBLISHED_NS, recording, counts(sent=9, served=6, dropped__busy=3))
    assert (figures.published, figures.received, figures.labelled) == (10, 9, 5)
    assert figures.dropped == {"busy": 3, "lost": 1, "mask_lost": 1}
    assert figures.published == figures.labelled + sum(figures.dropped.values())
    assert figures.labelled_percent == 50.0
    assert figures.received_percent == 90.0


def test_rate_latency_and_keyframes(recording: Recording) -> None:
    figures = run_figures(PUBLISHED_NS, recording, counts(sent=10, served=5, dropped__busy=5))
    assert figures.rate_hz == pytest.approx(5.0)
    assert figures.latency_ms == pytest.approx({"median": 30.0, "p95": 30.0})
    assert figures.keyframe_share == pytest.approx(3 / 5)
    assert figures.stage_ms["keyframe"] == {"step": 20.0}
    assert dict(figures_table(figures))["dropped"] == "5 busy"


def test_nothing_came_back(tmp_path: Path) -> None:
    figures = run_figures(PUBLISHED_NS, Recording(tmp_path), {})
    assert figures.labelled == 0
    assert figures.dropped == {"lost": 10}
    assert figures.rate_hz is None


@pytest.mark.parametrize(
    "node_counts", [counts(sent=11, served=5), counts(sent=10, served=4), counts(sent=10)]
)
def test_exception(recording: Recording, node_counts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="too many"):
        run_figures(PUBLISHED_NS, recording, node_counts)


def test_recording_gives_back_what_it_got(recording: Recording, tmp_path: Path) -> None:
    assert recording.mask(PUBLISHED_NS[1]) is None
    mask = recording.mask(PUBLISHED_NS[4])
    confidence = recording.confidence(PUBLISHED_NS[4])
    np.testing.assert_array_equal(mask, np.full((4, 6), 4, np.uint8))
    np.testing.assert_array_equal(confidence, np.full((4, 6), 204, np.uint8))
    save_masks(recording, {PUBLISHED_NS[4]: "4", PUBLISHED_NS[5]: "5"}, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["4.png"]


def test_images_of_a_live_camera_come_from_the_recording(recording: Recording) -> None:
    image = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    recording.add_image(PUBLISHED_NS[2], image)
    (frame,) = review(PUBLISHED_NS, None, recording)
    assert (frame.index, frame.keyframe_age) == (2, 2)
    np.testing.assert_array_equal(frame.image, image)


def test_sheet_shows_keyframes_and_the_frames_far_from_them(recording: Recording) -> None:
    assert sheet_indices(PUBLISHED_NS, recording, num_rows=2) == {0, 6}
    assert sheet_indices(PUBLISHED_NS[1:2], recording) == frozenset()


@pytest.mark.parametrize(
    ("keyframe_s", "interval", "expected_hz"),
    [(0.05, 5, 15.0), (0.15, 5, 10.0), (0.05, 1, 15.0), (0.15, 1, 5.0), (100.0, 5, 0.25)],
)
def test_sustainable_rate(keyframe_s: float, interval: int, expected_hz: float) -> None:
    assert sustainable_rate_hz(keyframe_s, interval) == expected_hz
