# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What keyframes take from the frames before them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from models import moving_images, random_model
from numpy.typing import NDArray
from torch.nn import functional as F

from gsvnet_model import VideoSegmenter
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.ops.changed_cells import changed_cells
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.stream.state import (
    blend_logits,
    decode_labels,
    extrapolate,
    keyframe_state,
    propagate_states,
)


def faint_images(count: int) -> list[NDArray[np.uint8]]:
    """Return images so faint that a flow of random weights does little harm to them."""
    return [96 + image // 6 for image in moving_images(count)]


def test_moves_on_as_before_where_the_image_agrees() -> None:
    torch.manual_seed(0)
    wide = torch.randn(1, 8, 20, 40)
    views = [wide[..., 2 * step : 2 * step + 30] for step in range(2)]
    before, now = ((view[:, :5], view[:, 5:]) for view in views)
    flow = torch.zeros(1, 2, 20, 30)
    flow[:, 0] = 2  # of the step before: where a cell's content was
    current = now[1].clone()
    current[..., 5:9, 3:8] += 3  # something new
    carried, weight = extrapolate(*before, flow, current)
    known = slice(0, 28)  # the last two columns came into view
    torch.testing.assert_close(carried[..., known], now[0][..., known])
    expected = torch.ones(1, 1, 20, 30)
    expected[..., 5:9, 3:8] = 0
    assert torch.equal(weight[..., known], expected[..., known])


def test_nothing_comes_from_another_scene() -> None:
    torch.manual_seed(0)
    logits, reference, other = (torch.randn(1, channels, 20, 30) for channels in (5, 3, 3))
    other[..., :9] = reference[..., :9]  # a third that looks the same by chance
    flow = torch.zeros(1, 2, 20, 30)
    assert not extrapolate(logits, reference, flow, other)[1].any()
    assert extrapolate(logits, reference, flow, reference)[1].all()


def test_mixing_keeps_what_is_finer_than_the_grid() -> None:
    torch.manual_seed(0)
    own, carried = torch.randn(1, 5, 17, 25), torch.randn(1, 5, 9, 13)
    on_cells = F.interpolate(own, (9, 13), mode="bilinear", align_corners=True)
    weight = torch.zeros(1, 1, 9, 13)
    weight[..., 4:, :] = 0.25
    finer, coarser = blend_logits(own, on_cells, carried, weight)
    assert torch.equal(coarser[..., :4, :], on_cells[..., :4, :])
    torch.testing.assert_close(
        coarser[..., 4:, :], 0.75 * on_cells[..., 4:, :] + 0.25 * carried[..., 4:, :]
    )
    # 17 rows over 9: every second one lies on a row of cells.
    torch.testing.assert_close(finer[..., ::2, ::2], coarser)
    assert torch.equal(finer[..., :7, :], own[..., :7, :])
    same, _ = blend_logits(on_cells, on_cells, carried, 0.5)
    torch.testing.assert_close(same, (on_cells + carried) / 2)


def test_a_due_keyframe_is_the_network_s_and_the_flow_s() -> None:
    model = random_model()
    images = faint_images(4)
    stream = VideoSegmenter(model, 3, temporal_blending=0.6)
    steps = [stream.step(image) for image in images]
    assert [step.is_keyframe for step in steps] == [True, False, False, True]
    # By hand, from the two frames that were propagated.
    on_grid = [model.grid_input(image) for image in images]
    _, state = keyframe_state(model, images[0], on_grid[0])
    for index in (1, 2):
        (propagated,) = propagate_states(model, [state], [on_grid[index]])
        seen = model.propagate(state.logits, on_grid[index].normalised, state.reference).flow
        moving = changed_cells(on_grid[index].normalised, state.reference)
        flow = torch.where(moving, seen, 0)
        assert torch.equal(propagated.flow, flow) and flow.any()
        state = state.followed_by(propagated, on_grid[index])
    carried, weight = extrapolate(state.logits, state.reference, flow, on_grid[3].normalised)
    assert weight.mean() > 0.6
    own = model.segment(image_tensor(images[3], model.device))
    on_cells = model.to_grid(own, (weight.shape[2], weight.shape[3]))
    mixed, _ = blend_logits(own, on_cells, carried, 0.6 * weight)
    decoded = decode_labels(model, mixed, state.size, state.quality.renewed())
    np.testing.assert_array_equal(steps[3].labels, decoded.labels)
    np.testing.assert_array_equal(steps[3].confidence, decoded.confidence)
    plain = decode_labels(model, own, state.size, state.quality.renewed())
    assert (decoded.labels != plain.labels).any()


def test_a_keyframe_after_propagation_takes_what_was_propagated() -> None:
    model = random_model(quality=QualityModel(linear={"difference": 30.0}))
    images = moving_images(2)
    stream = VideoSegmenter(model, policy=AdaptivePolicy(threshold=100), temporal_blending=0.6)
    stream.step(images[0])
    step = stream.step(images[1])
    assert (step.is_keyframe, step.reason) == (True, "quality")
    on_grid = [model.grid_input(image) for image in images]
    _, state = keyframe_state(model, images[0], on_grid[0])
    (propagated,) = propagate_states(model, [state], [on_grid[1]])
    own = model.segment(image_tensor(images[1], model.device))
    on_cells = model.to_grid(own, (state.logits.shape[2], state.logits.shape[3]))
    mixed, _ = blend_logits(own, on_cells, propagated.logits, 0.6)
    labels = decode_labels(model, mixed, state.size, propagated.quality.renewed()).labels
    np.testing.assert_array_equal(step.labels, labels)


def test_where_it_has_no_say() -> None:
    model = random_model()
    images = faint_images(4)
    own = [VideoSegmenter(model).step(image).labels for image in images]
    every = VideoSegmenter(model, 1, temporal_blending=0.9)
    for image, labels in zip(images, own, strict=True):
        np.testing.assert_array_equal(every.step(image).labels, labels)
    for carry_over, last in ((0.0, images[2]), (0.9, 255 - images[2])):
        stream = VideoSegmenter(model, 2, temporal_blending=carry_over)
        for image in images[:2]:
            stream.step(image)
        step = stream.step(last)
        assert step.is_keyframe
        np.testing.assert_array_equal(step.labels, VideoSegmenter(model).step(last).labels)


def test_takes_effect_on_the_next_keyframe() -> None:
    model = random_model()
    images = faint_images(5)
    changed, plain = (
        VideoSegmenter(model, 2, temporal_blending=0.0),
        VideoSegmenter(model, 2, temporal_blending=0),
    )
    for image in images[:4]:
        changed.step(image)
        plain.step(image)
    changed.options = dataclasses.replace(changed.options, temporal_blending=0.9)
    assert (changed.step(images[4]).labels != plain.step(images[4]).labels).any()


@pytest.mark.parametrize("share", [-0.1, 0.95, float("nan")])
def test_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match=r"expected a temporal blending of 0 to 0\.9, got"):
        VideoSegmenter(random_model(), temporal_blending=share)
