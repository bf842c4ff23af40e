# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The stream: schedule, state and what it says about a frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from models import moving_images, random_model
from numpy.typing import NDArray
from torch.nn import functional as F

from gsvnet_model import VideoSegmenter
from gsvnet_model.images.grid import grid_image
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.quality import Correction, QualityModel
from gsvnet_model.stream.segmenter import Segmentation, StepOptions
from gsvnet_model.stream.state import keyframe_state, propagate_states


def test_schedule_and_age() -> None:
    segmenter = VideoSegmenter(random_model(), keyframe_interval=3)
    steps = [segmenter.step(image) for image in moving_images(7)]
    assert [step.is_keyframe for step in steps] == [True, False, False, True, False, False, True]
    assert [step.keyframe_age for step in steps] == [0, 1, 2, 0, 1, 2, 0]
    assert [step.reason for step in steps] == ["first", "", "", "interval", "", "", "interval"]


def test_interval_of_one_is_per_frame_segmentation() -> None:
    segmenter = VideoSegmenter(random_model(), keyframe_interval=1)
    assert all(segmenter.step(image).is_keyframe for image in moving_images(3))


def test_a_change_of_interval_counts_from_the_next_frame() -> None:
    segmenter = VideoSegmenter(random_model(), keyframe_interval=10)
    sequence = moving_images(6)
    for image in sequence[:4]:
        segmenter.step(image)
    segmenter.options = StepOptions(FixedPolicy(2))
    assert segmenter.step(sequence[4]).is_keyframe
    assert not segmenter.step(sequence[5]).is_keyframe


@pytest.mark.parametrize("interval", [0, -1, 2.0, True, "3"])
def test_wrong_interval(interval: object) -> None:
    with pytest.raises(ValueError, match="keyframe interval"):
        VideoSegmenter(random_model(), keyframe_interval=interval)  # type: ignore[arg-type]


def test_keyframe_labels_are_the_networks_own() -> None:
    model = random_model()
    image = moving_images(1)[0]
    logits = model.keyframe(
        model.info.normalisation.apply(torch.from_numpy(image).permute(2, 0, 1)[None])
    )
    full = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=True)[0]
    step = VideoSegmenter(model).step(image)
    best = full.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert clear.mean() > 0.95
    assert np.array_equal(step.labels[clear], full.argmax(0).numpy()[clear])


def test_propagated_labels_are_those_of_the_networks_called_by_hand() -> None:
    model = random_model()
    first, second = moving_images(2)
    grid = (first.shape[0] // 8, first.shape[1] // 8)

    def small(image: NDArray[np.uint8]) -> torch.Tensor:
        values = torch.from_numpy(grid_image(image, 8, "area")).permute(2, 0, 1)[None]
        return model.info.normalisation.apply(values)

    state = F.interpolate(
        model.segment(torch.from_numpy(first).permute(2, 0, 1)[None]),
        grid,
        mode="bilinear",
        align_corners=True,
    )
    with torch.inference_mode():
        logits = model.propagation(state, small(second), small(first)).logits
    full = F.interpolate(logits, second.shape[:2], mode="bilinear", align_corners=True)[0]
    segmenter = VideoSegmenter(model)
    segmenter.step(first)
    step = segmenter.step(second)
    best = full.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert clear.mean() > 0.95
    assert np.array_equal(step.labels[clear], full.argmax(0).numpy()[clear])


def test_two_streams_do_not_mix() -> None:
    model = random_model()
    left, right = moving_images(5, seed=1), moving_images(5, seed=2)
    alone = [[VideoSegmenter(model)] for _ in range(2)]
    expected = [[alone[0][0].step(image).labels for image in left]]
    expected.append([alone[1][0].step(image).labels for image in right])
    together = [VideoSegmenter(model), VideoSegmenter(model)]
    for index, (a, b) in enumerate(zip(left, right, strict=True)):
        assert np.array_equal(together[0].step(a).labels, expected[0][index])
        assert np.array_equal(together[1].step(b).labels, expected[1][index])
    assert not np.array_equal(expected[0][4], expected[1][4])


def test_a_batch_of_streams_gets_what_each_gets_alone() -> None:
    model = random_model()
    videos = [
        moving_images(9, seed=1),
        moving_images(9, seed=2),
        moving_images(9, seed=3),
        moving_images(9, 80, 120, seed=4),
    ]
    alone = [VideoSegmenter(model, 4) for _ in videos]
    together = [VideoSegmenter(model, 4) for _ in videos]
    for index in range(9):
        started = [
            # The streams start one after the other, so that their keyframes differ.
            number
            for number in range(len(videos))
            if index >= number
        ]
        done = VideoSegmenter.step_batch(
            [
                (together[number], videos[number][index], together[number].options)
                for number in started
            ]
        )
        for number, segmentation in zip(started, done, strict=True):
            assert isinstance(segmentation, Segmentation)
            expected = alone[number].step(videos[number][index])
            assert segmentation.keyframe_age == expected.keyframe_age
            # A batch may round otherwise, which decides where two classes are as likely.
            assert (segmentation.labels != expected.labels).mean() < 1e-3
            off = segmentation.confidence.astype(int) - expected.confidence
            assert np.percentile(np.abs(off), 99.9) <= 1
    sizes = [each.batch_size for each in done if isinstance(each, Segmentation)]
    assert max(sizes) == 2


def test_a_bad_image_in_a_batch_costs_its_own_stream_a_frame_alone() -> None:
    model = random_model()
    streams = [VideoSegmenter(model, 10) for _ in range(2)]
    good, later = moving_images(2)
    for stream in streams:
        stream.step(good)
    requests = [
        (streams[0], np.zeros((4, 4), np.uint8), streams[0].options),
        (streams[1], later, streams[1].options),
    ]
    refused, served = VideoSegmenter.step_batch(requests)
    assert isinstance(refused, ValueError)
    assert isinstance(served, Segmentation) and served.keyframe_age == 1
    assert streams[0].step(later).keyframe_age == 1


def test_a_network_that_fails_lets_the_stream_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    segmenter = VideoSegmenter(model, 10)
    first, second = moving_images(2)
    segmenter.step(first)

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(model, "propagate", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            segmenter.step(second)
        segmenter.step(first)
        with pytest.raises(RuntimeError, match="out of memory"):
            VideoSegmenter.step_batch([(segmenter, second, segmenter.options)])
    assert segmenter.step(second).reason == "first"


def test_options_of_one_frame_hold_for_it_alone() -> None:
    segmenter = VideoSegmenter(random_model(), 10)
    images = moving_images(4)
    segmenter.step(images[0])
    options = dataclasses.replace(segmenter.options, policy=FixedPolicy(1))
    assert segmenter.step(images[1], options).reason == "interval"
    assert [segmenter.step(image).keyframe_age for image in images[2:]] == [1, 2]


def test_standing_scene_keeps_its_labels() -> None:
    segmenter = VideoSegmenter(random_model(), 100)
    image = moving_images(1)[0]
    first = segmenter.step(image)
    for age in range(1, 5):
        step = segmenter.step(image)
        assert step.keyframe_age == age
        np.testing.assert_array_equal(step.labels, first.labels)
        np.testing.assert_array_equal(step.confidence, first.confidence)
    with pytest.raises(ValueError, match="read-only"):
        step.labels[:] = 0


def test_frame_judged_too_bad_is_a_keyframe_after_all() -> None:
    model = random_model(quality=QualityModel(linear={"difference": 1000.0}))
    adaptive = VideoSegmenter(model, policy=AdaptivePolicy(99.9, 1, 50), temporal_blending=0)
    sequence = moving_images(4)
    steps = [adaptive.step(image) for image in sequence]
    assert [step.reason for step in steps] == ["first", "quality", "quality", "quality"]
    per_frame = VideoSegmenter(model, 1)
    for step, image in zip(steps, sequence, strict=True):
        np.testing.assert_array_equal(step.labels, per_frame.step(image).labels)
        assert step.disagreement == 0.0
    mild = random_model(quality=QualityModel(linear={"difference": 1.0}))
    patient = VideoSegmenter(mild, policy=AdaptivePolicy(0.0, 1, 50))
    steps = [patient.step(image) for image in sequence]
    assert [step.keyframe_age for step in steps] == [0, 1, 2, 3]
    estimates = [step.disagreement for step in steps]
    assert estimates == sorted(estimates) and estimates[0] == 0.0 and estimates[-1] > 0.0


def test_cut_is_a_keyframe_in_the_same_frame_under_every_policy() -> None:
    sees_cuts = QualityModel(cut={"difference": 1.0}, cut_bias=1.0)
    segmenter = VideoSegmenter(random_model(quality=sees_cuts), 100)
    first, other = moving_images(1)[0], moving_images(1, seed=7)[0]
    reasons = [segmenter.step(image).reason for image in (first, first, other, other)]
    assert reasons == ["first", "", "cut", ""]


def test_policy_may_be_exchanged_between_frames_and_keeps_the_age() -> None:
    segmenter = VideoSegmenter(random_model(), 100)
    sequence = moving_images(6)
    for image in sequence[:4]:
        segmenter.step(image)
    segmenter.options = StepOptions(AdaptivePolicy(max_interval=5))
    assert segmenter.step(sequence[4]).keyframe_age == 4
    assert segmenter.step(sequence[5]).reason == "interval"


def test_confidence_has_the_temperature_of_its_age() -> None:
    plain = VideoSegmenter(random_model(), 10)
    # At this temperature all classes are all but equal, and floor(255 / 11) is 23.
    warm = VideoSegmenter(random_model(temperatures=(1.0, 100.0)), 10)
    for age, image in enumerate(moving_images(4)):
        expected, step = plain.step(image), warm.step(image)
        np.testing.assert_array_equal(step.labels, expected.labels)
        if age == 0:
            np.testing.assert_array_equal(step.confidence, expected.confidence)
        else:
            assert (np.abs(step.confidence.astype(int) - 23) <= 2).all()


def test_confidence_follows_the_estimate() -> None:
    estimate = QualityModel(linear={"difference": 30.0})
    plain = VideoSegmenter(random_model(quality=estimate), 10)
    unsure = VideoSegmenter(random_model(quality=estimate, temperature_slope=0.1), 10)
    sure = VideoSegmenter(random_model(quality=estimate, temperature_slope=-0.1), 10)
    for age, image in enumerate(moving_images(4)):
        low, middle, high = (stream.step(image) for stream in (unsure, plain, sure))
        np.testing.assert_array_equal(low.labels, high.labels)
        order = (low.confidence.mean(), middle.confidence.mean(), high.confidence.mean())
        if age == 0:
            assert order[0] == order[1] == order[2]
        else:
            assert low.disagreement > 1
            assert order[0] < order[1] < order[2]


def test_keyframes_correct_the_estimate() -> None:
    model = random_model(quality=QualityModel(linear={"difference": 30.0}))
    images = moving_images(3)
    plain = VideoSegmenter(model, 100)
    plain.step(images[0])
    estimated = plain.step(images[1]).disagreement
    # By hand: what the keyframe says of the labels that it replaces.
    _, state = keyframe_state(model, images[0], model.grid_input(images[0]))
    (propagated,) = propagate_states(model, [state], [model.grid_input(images[1])])
    _, keyframe = keyframe_state(model, images[1], model.grid_input(images[1]), propagated)
    unlike = (propagated.logits.argmax(1) != keyframe.logits.argmax(1)).float().mean()
    expected = Correction().after(100 * float(unlike), estimated)
    assert expected.factor != pytest.approx(1, abs=0.05)
    assert keyframe.quality.correction.factor == pytest.approx(expected.factor)

    corrected = VideoSegmenter(model, policy=AdaptivePolicy(threshold=100))
    corrected.step(images[0])
    assert corrected.step(images[1]).reason == "quality"
    corrected.options = StepOptions(FixedPolicy(100))
    plain.step(images[1], force_keyframe="here")
    ratio = corrected.step(images[2]).disagreement / plain.step(images[2]).disagreement
    assert ratio == pytest.approx(expected.factor, rel=1e-4)


def test_change_is_the_mean_difference_on_the_grid() -> None:
    segmenter = VideoSegmenter(random_model(), 2)
    grey = np.full((64, 96, 3), 100, np.uint8)
    steps = [segmenter.step(grey), segmenter.step(grey + 7), segmenter.step(grey)]
    assert [step.change for step in steps] == [0.0, 7.0, 7.0]
    assert segmenter.step(grey[:48]).change == 0.0


def test_reset_and_size_change_start_anew() -> None:
    segmenter = VideoSegmenter(random_model(), keyframe_interval=100)
    sequence = moving_images(3)
    segmenter.step(sequence[0])
    assert segmenter.step(moving_images(1, 80, 120)[0]).reason == "size"
    segmenter.reset()
    assert segmenter.step(sequence[1]).reason == "first"
    assert segmenter.step(sequence[2], force_keyframe="cut").reason == "cut"


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (90, 121), (64, 200)])
def test_any_size(size: tuple[int, int]) -> None:
    segmenter = VideoSegmenter(random_model())
    for image in moving_images(2, *size):
        step = segmenter.step(image)
        assert step.labels.shape == step.confidence.shape == size
        assert step.labels.dtype == step.confidence.dtype == np.uint8
        assert step.labels.max() < 11


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((32, 32, 3), np.float32),
        np.zeros((0, 32, 3), np.uint8),
    ],
)
def test_a_bad_image_leaves_the_stream_as_it_was(image: NDArray[np.uint8]) -> None:
    segmenter = VideoSegmenter(random_model())
    first, second = moving_images(2)
    segmenter.step(first)
    with pytest.raises(ValueError, match="expected an"):
        segmenter.step(image)
    assert segmenter.step(second).keyframe_age == 1


def test_step_does_not_keep_or_change_the_callers_image() -> None:
    """The node hands in views of message buffers, which are reused."""
    model = random_model()
    sequence = moving_images(3)
    expected = [step.labels for step in map(VideoSegmenter(model).step, sequence)]
    segmenter = VideoSegmenter(model)
    buffer = np.empty_like(sequence[0])
    for image, labels in zip(sequence, expected, strict=True):
        buffer[:] = image
        assert np.array_equal(segmenter.step(buffer).labels, labels)
        assert np.array_equal(buffer, image)
        buffer[:] = 0


def test_flipped_views_are_read_like_copies() -> None:
    image = moving_images(1)[0]
    for view in (image[..., ::-1], image[:, ::-1], image[::-1]):
        seen = VideoSegmenter(random_model(), 2).step(view)
        copied = VideoSegmenter(random_model(), 2).step(view.copy())
        np.testing.assert_array_equal(seen.labels, copied.labels)
