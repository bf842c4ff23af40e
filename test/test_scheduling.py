# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Signals, the estimate of quality, and keyframe policies."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from models import random_model
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.networks.propagation import PropagationOutput
from gsvnet_model.ops.changed_cells import changed_cells, where_moving
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.budget import BudgetPolicy
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.policy import KeyframePolicy
from gsvnet_model.scheduling.quality import FrameQuality, QualityModel
from gsvnet_model.scheduling.signals import SIGNAL_NAMES, frame_signals
from gsvnet_model.stream.state import observed_disagreement

MODEL = QualityModel(linear={"residual": 10.0}, root={"changed": 20.0}, cut={"residual": 1.0})


def step(residual: float, changed: float = 0.0) -> NDArray[np.float64]:
    signals = np.zeros(len(SIGNAL_NAMES))
    signals[SIGNAL_NAMES.index("residual")] = residual
    signals[SIGNAL_NAMES.index("changed")] = changed
    return signals


@pytest.mark.parametrize("size", [(7, 9), (70, 130)])
def test_signals_are_what_their_names_say(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = random_model()
    current, previous = torch.randn(2, 3, *size), torch.randn(2, 3, *size)
    state = 3 * torch.randn(2, 11, *size)
    output = model.propagate(state, current, previous)
    moving = torch.rand(2, 1, *size) < 0.7
    signals = dict(
        zip(
            SIGNAL_NAMES,
            frame_signals(output, current, previous, state, moving).T,
            strict=True,
        )
    )
    rows = slice(None, None, max(1, -(-size[0] * size[1] // 4096)))
    expected = _plain_signals(output, current, previous, state, moving)
    for name, values in expected.items():
        mean = values[:, rows].double().mean((1, 2)).numpy()
        np.testing.assert_allclose(signals[name], mean, rtol=1e-4, atol=1e-6, err_msg=name)


def _plain_signals(
    output: PropagationOutput, current: Tensor, previous: Tensor, state: Tensor, moving: Tensor
) -> dict[str, Tensor]:
    """Return (N, h, w) fields by the definitions."""

    def margin(logits: Tensor) -> Tensor:
        first, second = logits.topk(2, dim=1).values.unbind(1)
        return (first - second) / (1 + first - second)

    _, _, height, width = state.shape
    alive = moving[:, 0].float()
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place_x, place_y = x + output.flow[:, 0], y + output.flow[:, 1]
    inside = (place_x > -0.5) & (place_x < width - 0.5)
    inside &= (place_y > -0.5) & (place_y < height - 0.5)
    residual = (current - output.warped_previous).abs().mean(1)
    new, warped = output.logits.argmax(1), output.warped_logits.argmax(1)
    shear = torch.zeros_like(alive)
    shear[..., 1:] = (output.flow[..., 1:] - output.flow[..., :-1]).abs().sum(1)
    fields = {
        "residual": residual * inside,
        "large_residual": (residual > 0.5) & inside,
        "outside": ~inside,
        "difference": (current - previous).abs().mean(1),
        "flow": output.flow.norm(dim=1) / width,
        "shear": shear,
        "corrected": new != warped,
        "changed": new != state.argmax(1),
        "margin_drop": margin(state) - margin(output.logits),
    }
    assert tuple(fields) == SIGNAL_NAMES
    return {name: field.float() * alive for name, field in fields.items()}


def test_a_change_moves_its_neighbours_and_nothing_else() -> None:
    image = torch.randn(1, 3, 6, 8)
    changed = image.clone()
    changed[0, 1, 2, 3] += 0.5
    moving = changed_cells(changed, image)
    assert moving.sum() == 9 and moving[0, 0, 1:4, 2:5].all()


def test_exposure_and_noise_are_no_motion_but_slow_changes_add_up() -> None:
    image = torch.randn(1, 3, 6, 8)
    noise = 0.02 * torch.rand(1, 3, 6, 8)
    assert not changed_cells(image + noise + 0.4, image).any()
    slow = image.clone()
    slow[0, :, 3, 3] += 0.06
    assert not changed_cells(slow, image).any()
    slow[0, :, 3, 3] += 0.06
    assert changed_cells(slow, image).any()


def test_where_moving_keeps_what_stands() -> None:
    moving = torch.tensor([[[[True, False]]]])
    new, old = torch.ones(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    assert where_moving(moving, new, old).tolist() == [[[[1, 0]], [[1, 0]]]]


def test_quality_adds_up_and_a_standing_scene_adds_only_to_the_shortfall() -> None:
    first = FrameQuality().after(MODEL, step(0.1, 0.04))
    assert first.disagreement == pytest.approx(10 * 0.1 + 20 * 0.2)
    second = first.after(MODEL, step(0.1, 0.12))
    assert second.disagreement == pytest.approx(10 * 0.2 + 20 * 0.4)
    assert second.shortfall == pytest.approx(first.disagreement + second.disagreement)
    still = second.after(MODEL, None)
    assert (still.age, still.disagreement) == (3, second.disagreement)
    assert still.shortfall == pytest.approx(second.shortfall + second.disagreement)


def test_saving_is_what_fresh_labels_would_be_better_by_in_eight_frames() -> None:
    model = QualityModel(linear={"residual": 10.0})
    first = FrameQuality().after(model, step(0.2))
    assert first.saving == pytest.approx(2)  # as far off one frame later
    third = first.after(model, step(0.2)).after(model, step(0.2))
    assert third.saving == pytest.approx(6 + 4 + 2)
    assert third.need == pytest.approx(12) == third.shortfall
    assert third.after(model, None).saving == third.saving  # it may be a repeated frame
    stopped = third.after(model, None).after(model, None)
    assert stopped.saving == pytest.approx(8 * 6)
    faster = third.after(model, step(1.8))
    assert faster.saving < 2 * faster.disagreement
    for _ in range(20):
        stopped = stopped.after(model, None)
    assert stopped.need == 0.5 * stopped.shortfall > stopped.saving
    assert FrameQuality().after(model, None).need == 0


def test_estimates_learn_from_keyframes_of_their_stream() -> None:
    model = QualityModel(linear={"residual": 10.0})
    quality = FrameQuality()
    for _ in range(60):
        # A camera on which twice as much is lost as on those of the fit.
        seen = quality.after(model, step(0.1)).after(model, step(0.2))
        quality = seen.renewed(6.0)
    assert quality.age == quality.shortfall == 0 and not quality.sums.any()
    learned = quality.after(model, step(0.3))
    assert learned.disagreement == pytest.approx(6, rel=0.02)
    assert learned.saving == pytest.approx(6, rel=0.02)  # a fresh one is as far off in one frame
    right = FrameQuality().after(model, step(0.1)).renewed(1.0)
    assert right.correction.factor == pytest.approx(1)


def test_nothing_is_learned_from_cuts_stops_and_keyframes_unpropagated() -> None:
    cut = FrameQuality().after(MODEL, step(2.0))
    assert cut.is_cut
    for quality, true in ((cut, 90.0), (FrameQuality().after(MODEL, None), 5.0), (cut, None)):
        assert quality.renewed(true).correction == FrameQuality().correction


def test_one_faulty_keyframe_does_not_spoil_the_estimates() -> None:
    quality = FrameQuality()
    for _ in range(100):
        quality = quality.after(MODEL, step(0.01)).renewed(100.0)
    assert quality.after(MODEL, step(0.1)).disagreement == pytest.approx(4.0)


def test_observed_disagreement_is_the_share_of_cells_labelled_unlike() -> None:
    first, second = torch.zeros(1, 3, 2, 5), torch.zeros(1, 3, 2, 5)
    first[:, 1] = second[:, 1] = 1
    second[0, 2, 0, :2] = 5
    assert observed_disagreement(first, first) == 0
    assert observed_disagreement(first, second) == pytest.approx(20)


def test_a_cut_is_noticed_in_its_step_only() -> None:
    cut = FrameQuality().after(MODEL, step(2.0))
    assert cut.is_cut
    assert not cut.after(MODEL, step(0.1)).is_cut
    assert not cut.after(MODEL, None).is_cut
    assert not FrameQuality().after(QualityModel(), step(2.0)).is_cut


def test_quality_model_survives_json() -> None:
    text = json.dumps(dataclasses.asdict(MODEL))
    assert QualityModel(**json.loads(text)) == MODEL


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QualityModel(linear={"colour": 1.0}), "colour"),
        (lambda: QualityModel(root={"flow": -1.0}), "0 or more"),
        (lambda: FixedPolicy(0), "1 or more"),
        (lambda: FixedPolicy(True), "1 or more"),
        (lambda: AdaptivePolicy(threshold=101), "0 to 100"),
        (lambda: AdaptivePolicy(threshold=float("nan")), "0 to 100"),
        (lambda: AdaptivePolicy(min_interval=0), "minimum interval"),
        (lambda: AdaptivePolicy(min_interval=9, max_interval=8), "9 and 8"),
        (lambda: BudgetPolicy(0.0), "more than 0"),
        (lambda: BudgetPolicy(float("inf")), "more than 0"),
    ],
)
def test_wrong_values_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def keyframes(
    policy: KeyframePolicy, speeds: list[float], propagated_ms: float = 10, keyframe_ms: float = 60
) -> tuple[list[int], NDArray[np.float64]]:
    """Return which frames a policy makes keyframes, and costs, for residuals per frame."""
    quality, found, costs = FrameQuality(), [0], [keyframe_ms]
    policy.observe(True, keyframe_ms)
    for frame, speed in enumerate(speeds, start=1):
        reason, cost = policy.due(quality.age + 1), 0.0
        if not reason:
            quality = quality.after(MODEL, step(speed) if speed else None)
            reason, cost = policy.judge(quality), propagated_ms
        if reason:
            found.append(frame)
            quality = FrameQuality()
            cost += keyframe_ms
        policy.observe(bool(reason), cost)
        costs.append(cost)
    return found, np.array(costs)


def test_fixed_policy_counts() -> None:
    assert keyframes(FixedPolicy(3), [0.1] * 9)[0] == [0, 3, 6, 9]
    assert keyframes(FixedPolicy(1), [0.1] * 3)[0] == [0, 1, 2, 3]


def test_threshold_is_the_agreement_reached_in_five_frames() -> None:
    # 1.6 percent per frame: 8 percent after five.
    found, _ = keyframes(AdaptivePolicy(92), [0.16] * 40)
    assert set(np.diff(found)) == {5}


def test_faster_motion_gets_more_keyframes_and_the_range_is_kept() -> None:
    policy = AdaptivePolicy(92, min_interval=2, max_interval=12)
    intervals = [set(np.diff(keyframes(policy, [v] * 60)[0])) for v in (1e-4, 0.05, 0.4, 20.0)]
    assert intervals[0] == {12} and intervals[3] == {2}
    assert 12 > max(intervals[1]) > max(intervals[2]) > 2


def test_stale_labels_are_replaced_during_a_stop_and_fresh_ones_are_kept() -> None:
    found, _ = keyframes(AdaptivePolicy(92, max_interval=30), [0.16] * 7 + [0.0] * 60)
    assert found[:2] == [0, 5]
    assert 7 < found[2] <= 9  # the state of two frames' motion goes stale
    assert found[3] == found[2] + 30


def test_repeated_frames_are_no_stop() -> None:
    smooth, _ = keyframes(AdaptivePolicy(92), [0.16] * 100)
    # A camera of half the rate whose frames all come twice.
    repeated, _ = keyframes(AdaptivePolicy(92), [0.32, 0.0] * 50)
    assert len(repeated) <= 1.35 * len(smooth)


@pytest.mark.parametrize("target", [12.0, 20.0, 40.0, 60.0])
def test_budget_holds_its_target_in_varied_motion(target: float) -> None:
    rng = np.random.default_rng(0)
    speeds = list(np.repeat(rng.choice([0.0, 0.1, 0.4], 60), 10))
    _, costs = keyframes(BudgetPolicy(target), speeds)
    assert costs[30:230].mean() == pytest.approx(target, rel=0.1)
    assert costs[230:430].mean() == pytest.approx(target, rel=0.1)


def test_budget_holds_its_target_when_frames_become_dearer_and_when_it_is_changed() -> None:
    policy = BudgetPolicy(30.0)
    keyframes(policy, [0.1] * 100)
    _, loaded = keyframes(policy, [0.1] * 200, propagated_ms=16, keyframe_ms=96)
    assert loaded[30:].mean() == pytest.approx(30, rel=0.1)
    policy.target_ms = 20.0
    _, changed = keyframes(policy, [0.1] * 200, propagated_ms=16, keyframe_ms=96)
    assert changed[30:].mean() == pytest.approx(20, rel=0.1)
    assert float(policy.describe()["interval"]) == pytest.approx(80 / 4, rel=0.5)


@pytest.mark.parametrize("target", [25.0, 60.0])
def test_budget_survives_one_slow_frame(target: float) -> None:
    policy = BudgetPolicy(target)
    policy.observe(True, 35.0)
    policy.observe(False, 5.0)
    policy.observe(False, 200.0)
    times, age = [], 0
    for _ in range(400):
        is_keyframe = bool(policy.due(age + 1))
        age = 0 if is_keyframe else age + 1
        times.append(35.0 if is_keyframe else 5.0)
        policy.observe(is_keyframe, times[-1])
    assert np.mean(times[200:]) == pytest.approx(min(target, 35.0), rel=0.1)


def test_budget_spends_where_motion_is() -> None:
    speeds = ([0.02] * 40 + [0.3] * 40) * 4
    found, _ = keyframes(BudgetPolicy(20.0), speeds)
    fast = [frame for frame in found if (frame - 1) % 80 >= 40]
    assert len(fast) > 0.55 * len(found)


def test_budget_out_of_reach_gives_no_keyframes_and_recovers() -> None:
    policy = BudgetPolicy(8.0)
    found, _ = keyframes(policy, [0.1] * 100)
    assert found[1:] == []
    policy.target_ms = 20.0
    found, costs = keyframes(policy, [0.1] * 200)
    assert costs[30:].mean() == pytest.approx(20, rel=0.1)
