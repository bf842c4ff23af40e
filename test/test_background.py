# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Background keyframes: the stream never waits, and ends up where a keyframe would have led it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from models import TinyKeyframeNetwork, moving_images
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model import CAMVID, ModelInfo, SegmentationModel, VideoSegmenter
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.stream import background_keyframe as background
from gsvnet_model.stream.background_keyframe import KeyframeWorker
from gsvnet_model.stream.segmenter import MAX_FRAMES_BEHIND, Segmentation, StepOptions
from gsvnet_model.stream.state import decode_labels, keyframe_state, propagate_states

PATIENCE_S = 30.0

# Of the module, because a model copies its networks.
GATE = threading.Event()


class GatedNetwork(TinyKeyframeNetwork):
    """A keyframe network that takes as long as the test wants, and fails on black images."""

    def forward(self, image: Tensor) -> Tensor:
        assert GATE.wait(PATIENCE_S)
        if float(image.flatten(2).std(2).max()) < 1e-4:
            raise RuntimeError("nothing to see")
        return super().forward(image)


@pytest.fixture(autouse=True)
def open_gate() -> Iterator[None]:
    GATE.set()
    yield
    GATE.set()


@pytest.fixture
def model() -> SegmentationModel:
    torch.manual_seed(0)
    return SegmentationModel(
        GatedNetwork(CAMVID.num_classes),
        PropagationNetwork(PropagationConfig(CAMVID.num_classes)),
        ModelInfo("gated", CAMVID, Normalisation((1.0, 2.0, 3.0), (50.0, 50.0, 50.0))),
    )


@pytest.fixture
def worker(model: SegmentationModel) -> Iterator[KeyframeWorker]:
    worker = KeyframeWorker(model)
    yield worker
    GATE.set()
    worker.close()


def step_when_caught_up(segmenter: VideoSegmenter, image: NDArray[np.uint8]) -> Segmentation:
    """Label the next frame once the background keyframe has caught up."""
    deadline = time.monotonic() + PATIENCE_S
    while not segmenter.has_caught_up:
        assert time.monotonic() < deadline, "no keyframe caught up"
        time.sleep(0.001)
    return segmenter.step(image)


def test_stream_goes_on_and_the_keyframe_lands_where_waiting_would_have_led(
    model: SegmentationModel, worker: KeyframeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A device that takes its time, for the keyframe and for each of two frames after it.
    monkeypatch.setattr(background, "_finish", lambda _: time.sleep(0.05))
    images = moving_images(8)
    waiting = VideoSegmenter(model, 100)
    expected = [waiting.step(image) for image in images[3:]]
    segmenter = VideoSegmenter(model, 3, background=worker, temporal_blending=0)
    steps = [segmenter.step(image) for image in images[:3]]
    GATE.clear()
    steps += [segmenter.step(image) for image in images[3:6]]
    assert [step.is_keyframe for step in steps] == [True, *[False] * 5]
    assert [step.keyframe_age for step in steps] == [0, 1, 2, 3, 4, 5]
    assert [step.reason for step in steps] == ["first", "", "", "interval", "", ""]
    assert [step.background for step in steps] == ["", "", "", *["running"] * 3]
    GATE.set()
    merged = step_when_caught_up(segmenter, images[6])
    assert (merged.keyframe_age, merged.is_keyframe, merged.background) == (3, False, "merged")
    assert merged.stage_ms["background"] > 3 * 50
    np.testing.assert_array_equal(merged.labels, expected[3].labels)
    np.testing.assert_array_equal(merged.confidence, expected[3].confidence)
    assert merged.disagreement == expected[3].disagreement
    # Its third frame was due for the next keyframe, which began in its turn.
    assert merged.reason == "interval"
    np.testing.assert_array_equal(segmenter.step(images[7]).labels, expected[4].labels)


def test_standing_scene_shows_the_new_labels(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    first, other = moving_images(2)
    segmenter = VideoSegmenter(model, 2, background=worker, temporal_blending=0)
    segmenter.step(first)
    stale = segmenter.step(other)
    GATE.clear()
    segmenter.step(other)
    segmenter.step(other)
    GATE.set()
    merged = step_when_caught_up(segmenter, other)
    fresh = VideoSegmenter(model).step(other)
    assert (stale.labels != fresh.labels).any()
    np.testing.assert_array_equal(merged.labels, fresh.labels)


def test_the_callers_image_may_change_at_once(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    images = moving_images(4)
    segmenter = VideoSegmenter(model, 1, background=worker, temporal_blending=0)
    segmenter.step(images[0])
    GATE.clear()
    buffer = images[1].copy()
    segmenter.step(buffer)
    buffer[:] = 0
    GATE.set()
    merged = step_when_caught_up(segmenter, images[2])
    waiting = VideoSegmenter(model, 100)
    waiting.step(images[1])
    np.testing.assert_array_equal(merged.labels, waiting.step(images[2]).labels)


def test_what_leaves_no_labels_to_go_on_from_is_a_keyframe_at_once(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    images = moving_images(3)
    segmenter = VideoSegmenter(model, 1, background=worker, temporal_blending=0)
    segmenter.step(images[0])
    segmenter.step(images[1])
    small = segmenter.step(np.ascontiguousarray(images[2][::2, ::2]))
    assert (small.is_keyframe, small.reason, small.background) == (True, "size", "")
    segmenter.reset()
    again = segmenter.step(images[2], force_keyframe="gap")
    assert (again.is_keyframe, again.reason, again.background) == (True, "gap", "")


def test_cut_is_a_keyframe_at_once_and_ends_what_was_running() -> None:
    torch.manual_seed(0)
    model = SegmentationModel(
        GatedNetwork(CAMVID.num_classes),
        PropagationNetwork(PropagationConfig(CAMVID.num_classes)),
        ModelInfo(
            "gated",
            CAMVID,
            Normalisation((1.0, 2.0, 3.0), (50.0, 50.0, 50.0)),
            quality=QualityModel(cut={"difference": 1.0}, cut_bias=-0.1),
        ),
    )
    worker = KeyframeWorker(model)
    images = moving_images(5)
    segmenter = VideoSegmenter(model, 1, background=worker, temporal_blending=0)
    segmenter.step(images[0])
    GATE.clear()
    running = segmenter.step(images[1])
    assert (running.reason, running.background) == ("interval", "running")
    threading.Timer(0.2, GATE.set).start()  # the cut waits for nothing but its own keyframe
    cut = segmenter.step(255 - images[2])
    assert (cut.is_keyframe, cut.reason, cut.background) == (True, "cut", "")
    worker.close()
    assert not segmenter.has_caught_up


def test_callers_keyframe_replaces_the_one_that_runs(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    images = moving_images(5)
    segmenter = VideoSegmenter(model, 2, background=worker, temporal_blending=0)
    for image in images[:2]:
        segmenter.step(image)
    GATE.clear()
    assert segmenter.step(images[2]).reason == "interval"
    forced = segmenter.step(images[3], force_keyframe="stagger")
    assert (forced.is_keyframe, forced.reason) == (False, "stagger")
    GATE.set()
    merged = step_when_caught_up(segmenter, images[4])
    assert merged.keyframe_age == 1


def test_mode_changes_between_two_frames(model: SegmentationModel, worker: KeyframeWorker) -> None:
    images = moving_images(6)
    segmenter = VideoSegmenter(model, 2, background=worker, temporal_blending=0)
    for image in images[:2]:
        segmenter.step(image)
    GATE.clear()
    assert segmenter.step(images[2]).background == "running"
    segmenter.options = StepOptions(FixedPolicy(4), temporal_blending=0)
    dropped = segmenter.step(images[3])
    assert (dropped.is_keyframe, dropped.keyframe_age, dropped.background) == (False, 3, "")
    GATE.set()
    waited = segmenter.step(images[4])
    assert (waited.is_keyframe, waited.reason) == (True, "interval")
    segmenter.options = dataclasses.replace(segmenter.options, background=worker)
    assert segmenter.step(images[5]).keyframe_age == 1


@pytest.mark.parametrize(("interval", "most"), [(3, MAX_FRAMES_BEHIND), (25, 50)])
def test_keyframe_that_does_not_catch_up_is_given_up_for_one_that_is_waited_for(
    model: SegmentationModel, worker: KeyframeWorker, interval: int, most: int
) -> None:
    images = moving_images(interval + most + 4)
    segmenter = VideoSegmenter(model, interval, background=worker, temporal_blending=0)
    for image in images[:interval]:
        segmenter.step(image)
    GATE.clear()
    steps = [segmenter.step(image) for image in images[interval : interval + most + 1]]
    assert [step.reason for step in steps] == ["interval", *[""] * most]
    assert [step.background for step in steps] == ["running"] * (most + 1)
    threading.Timer(0.2, GATE.set).start()  # that keyframe is waited for
    step = segmenter.step(images[-3])
    assert (step.is_keyframe, step.reason, step.background) == (True, "timed_out", "")
    np.testing.assert_array_equal(step.labels, VideoSegmenter(model).step(images[-3]).labels)
    # The one that was late comes to nothing, and the next one goes beside the stream again.
    after = segmenter.step(images[-2])
    assert (after.keyframe_age, after.background) == (1, "")
    segmenter.options = dataclasses.replace(segmenter.options, policy=FixedPolicy(2))
    assert segmenter.step(images[-1]).background == "running"


def test_failure_beside_the_stream_is_raised_in_it(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    image = moving_images(1)[0]
    black = np.zeros_like(image)
    segmenter = VideoSegmenter(model, 1, background=worker, temporal_blending=0)
    segmenter.step(image)
    segmenter.step(black)
    deadline = time.monotonic() + PATIENCE_S
    with pytest.raises(RuntimeError, match="background keyframe failed: nothing to see"):
        while time.monotonic() < deadline:
            segmenter.step(image)
            time.sleep(0.001)
    assert segmenter.step(image).reason == "first"


def test_carries_over_what_was_propagated_in_the_stream(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    images = moving_images(3)
    segmenter = VideoSegmenter(model, 1, background=worker, temporal_blending=0.5)
    for image in images[:2]:
        segmenter.step(image)
    merged = step_when_caught_up(segmenter, images[2])
    on_grid = [model.grid_input(image) for image in images]
    _, first = keyframe_state(model, images[0], on_grid[0])
    (propagated,) = propagate_states(model, [first], [on_grid[1]])
    _, keyframe = keyframe_state(model, images[1], on_grid[1], propagated, 0.5)
    (expected,) = propagate_states(model, [keyframe], [on_grid[2]])
    labels = decode_labels(model, expected.logits, keyframe.size, expected.quality).labels
    np.testing.assert_array_equal(merged.labels, labels)


def test_streams_share_a_worker_and_do_not_mix(
    model: SegmentationModel, worker: KeyframeWorker
) -> None:
    videos = [moving_images(4, seed=seed) for seed in (0, 1)]
    segmenters = [VideoSegmenter(model, 1, background=worker, temporal_blending=0) for _ in videos]
    for index in range(2):
        for segmenter, video in zip(segmenters, videos, strict=True):
            segmenter.step(video[index])
    for segmenter, video in zip(segmenters, videos, strict=True):
        merged = step_when_caught_up(segmenter, video[2])
        waiting = VideoSegmenter(model, 100)
        waiting.step(video[1])
        np.testing.assert_array_equal(merged.labels, waiting.step(video[2]).labels)
