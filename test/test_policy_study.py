# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Keyframe-age tables, the best schedule, and fits on them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from models import random_model
from numpy.typing import NDArray

from gsvnet_lab.fitting.quality import (
    cut_signals,
    fit_quality,
    rank_correlation,
    real_pairs,
    summed_signals,
)
from gsvnet_lab.policy_study.best_schedule import best_ages, foreseen_ages
from gsvnet_lab.policy_study.comparison import Comparison, Point, compare
from gsvnet_lab.policy_study.keyframe_age_table import (
    GIVEN,
    KeyframeAgeTable,
    disagreement,
    keyframe_age_table,
    with_estimates,
)
from gsvnet_lab.policy_study.report import comparison_table, plot_comparisons, summary_table
from gsvnet_lab.policy_study.schedule import FrameCosts, fixed_schedules, miou, run_policy
from gsvnet_lab.policy_study.videos import joined, varied_order
from gsvnet_model.images.grid import grid_image
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.ops.changed_cells import changed_cells, where_moving
from gsvnet_model.ops.labels import labels_and_confidence
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.fixed import FixedPolicy
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.scheduling.signals import SIGNAL_NAMES

COSTS = FrameCosts(60.0, 10.0)
IMAGE = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def video(num_frames: int, seed: int = 0) -> list[IMAGE]:
    rng = np.random.default_rng(seed)
    scene = np.kron(rng.integers(0, 256, (8, 30, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    truth = np.kron(rng.integers(0, 11, (8, 30)), np.ones((12, 12))).astype(np.uint8)
    return [
        (scene[:64, 5 * t : 5 * t + 96].copy(), truth[:64, 5 * t : 5 * t + 96].copy())
        for t in range(num_frames)
    ]


def made_table(num_frames: int = 40, distances: int = 12, seed: int = 0) -> KeyframeAgeTable:
    """A table of three classes whose disagreement grows with a signal."""
    rng = np.random.default_rng(seed)
    speed = np.repeat(rng.choice([0.0, 0.05, 0.3], num_frames // 5 + 1), 5)[:num_frames]
    signals = np.zeros((num_frames, distances, len(SIGNAL_NAMES)), np.float32)
    counts = np.zeros((num_frames, distances, 3, 3), np.int32)
    for frame, distance in itertools.product(range(num_frames), range(distances)):
        if distance > frame:
            continue
        if distance:
            signals[frame, distance, SIGNAL_NAMES.index("residual")] = speed[frame]
            signals[frame, distance, SIGNAL_NAMES.index("flow")] = rng.uniform(0, 0.1)
        wrong = int(1000 * min(0.9, speed[frame - distance + 1 : frame + 1].sum() / 3))
        counts[frame, distance] = np.diag([1000 - wrong] * 3) + wrong // 2 * (
            1 - np.eye(3, dtype=int)
        )
    return KeyframeAgeTable(counts, counts, signals)


def test_pairs_are_what_a_stream_computes() -> None:
    model, frames = random_model(), video(5)
    frames.insert(2, frames[1])  # a stop
    table = keyframe_age_table(model, frames, 4)
    height, width = frames[0][1].shape
    grid = model.info.grid_size(height, width)

    def small(index: int) -> torch.Tensor:
        image = grid_image(frames[index][0], 8, model.info.grid_filter)
        return model.info.normalisation.apply(image_tensor(image, model.device))

    logits = model.segment(image_tensor(frames[1][0], model.device))
    labels, _ = labels_and_confidence(logits[0], height, width)
    state, reference = model.to_grid(logits, grid), small(1)
    for frame in range(1, 5):
        if frame > 1:
            moving = changed_cells(small(frame), reference)
            if moving.any():
                output = model.propagate(state, small(frame), reference)
                state = where_moving(moving, output.logits, state)
                reference = where_moving(moving, small(frame), reference)
                labels, _ = labels_and_confidence(state[0], height, width)
        key = labels_and_confidence(
            model.segment(image_tensor(frames[frame][0], model.device))[0], height, width
        )[0]
        expected = np.zeros((11, 11), np.int64)
        np.add.at(expected, (key, labels), 1)
        np.testing.assert_array_equal(table.agreement[frame, frame - 1], expected)
        expected[:] = 0
        np.add.at(expected, (frames[frame][1], labels), 1)
        np.testing.assert_array_equal(table.truth[frame, frame - 1], expected)
    assert not table.signals[2, 1].any()  # nothing moved, and nothing was computed
    assert table.agreement[2, 1].sum() == np.trace(table.agreement[2, 1])
    assert table.signals[3, 1:3].any(axis=1).all()


def test_perfect_keyframes_are_the_truth() -> None:
    frames = video(2)
    table = keyframe_age_table(random_model(), frames, 1, perfect_keyframes=True)
    assert np.trace(table.truth[0, 0]) > 0.75 * frames[0][1].size
    # Cells lie where the grid has them: edges halfway between two are found.
    stripes = np.repeat(np.arange(8, dtype=np.uint8), 12)[None].repeat(64, 0)
    striped = [(np.dstack([stripes] * 3), stripes)]
    table = keyframe_age_table(
        random_model(grid_filter="centred"), striped, 1, perfect_keyframes=True
    )
    assert np.trace(table.truth[0, 0]) == stripes.size
    with pytest.raises(ValueError, match="labels"):
        keyframe_age_table(random_model(), [(frames[0][0], None)], 1, perfect_keyframes=True)


def test_a_table_needs_frames_of_one_size() -> None:
    frames = video(2)
    with pytest.raises(ValueError, match="at least one frame"):
        keyframe_age_table(random_model(), [], 3)
    frames[1] = (frames[1][0][:48], frames[1][1][:48])
    with pytest.raises(ValueError, match="expected frames of"):
        keyframe_age_table(random_model(), frames, 3)


def test_dynamic_programming_finds_the_best_of_all_schedules() -> None:
    rng = np.random.default_rng(3)
    # One class pair and equal unions: mIoU is a monotone function of the hits.
    hits = rng.integers(0, 100, (9, 4))
    matrices = np.zeros((9, 4, 2, 2), np.int32)
    matrices[..., 0, 0] = matrices[..., 1, 1] = hits
    matrices[..., 0, 1] = matrices[..., 1, 0] = 100 - hits
    best = -1.0
    for keys in itertools.combinations(range(1, 9), 3):
        starts = np.array([0, *keys])
        ages = np.arange(9) - starts[np.searchsorted(starts, np.arange(9), side="right") - 1]
        if ages.max() < 4:
            counts = matrices[np.arange(9), ages].sum(0).astype(np.float64)
            best = max(best, miou(counts))
    found = best_ages(matrices, 4, np.arange(9) % 4)
    assert (found == 0).sum() == 4
    assert miou(matrices[np.arange(9), found].sum(0).astype(np.float64)) == pytest.approx(best)
    with pytest.raises(ValueError, match="3 to 9 keyframes"):
        best_ages(matrices, 2, found)


def test_who_foresees_all_frames_pays_least_and_who_foresees_none_keeps_the_labels() -> None:
    rng = np.random.default_rng(4)
    lost = rng.uniform(0, 10, (9, 4))
    lost[:, 0] = 0
    frames, price = np.arange(9), 6.0

    def paid(ages: NDArray[np.intp]) -> float:
        return float(lost[frames, ages].sum() + price * (ages == 0).sum())

    least = np.inf
    for keys in itertools.product((False, True), repeat=8):
        starts = np.flatnonzero((True, *keys))
        ages = frames - starts[np.searchsorted(starts, frames, side="right") - 1]
        if ages.max() < 4:
            least = min(least, paid(ages))
    assert paid(foreseen_ages(lost, price, 9)) == pytest.approx(least)
    # In one frame no keyframe pays for itself: only the table's end makes one.
    np.testing.assert_array_equal(foreseen_ages(lost, 20.0, 1), frames % 4)


def test_a_fit_recovers_what_was_planted() -> None:
    tables = [made_table(seed=seed) for seed in range(4)]
    cuts = np.zeros((50, len(SIGNAL_NAMES)))
    rng = np.random.default_rng(0)
    cuts[:, SIGNAL_NAMES.index("residual")] = rng.uniform(0.8, 2, 50)
    cuts[:, SIGNAL_NAMES.index("flow")] = rng.uniform(0, 0.1, 50)
    model = fit_quality(tables, cuts)
    other = made_table(seed=9)
    pairs = real_pairs(other)
    predicted = model.disagreement(summed_signals(other)[pairs])
    assert rank_correlation(predicted, disagreement(other)[pairs]) > 0.95
    assert np.abs(predicted - disagreement(other)[pairs]).mean() < 4
    assert model.is_cut(cuts).all()
    assert not model.is_cut(other.signals[pairs].astype(np.float64)).any()
    with pytest.raises(ValueError, match="cuts"):
        fit_quality(tables, cuts[:0])


def test_rank_correlation_shares_ranks_between_ties() -> None:
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 100, 1000])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    tied = rank_correlation(np.array([1.0, 1, 2, 3]), np.array([1.0, 2, 3, 4]))
    assert tied == pytest.approx(np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3, 4])[0, 1])


def test_cut_signals_come_from_two_scenes() -> None:
    model = random_model()
    cuts = cut_signals(model, [video(2, seed) for seed in range(3)], 6)
    steps = keyframe_age_table(model, video(4), 2).signals[1:, 1]
    column = SIGNAL_NAMES.index("difference")
    assert cuts.shape == (6, len(SIGNAL_NAMES))
    assert cuts[:, column].min() > steps[:, column].max() > 0


def test_a_cut_replaces_the_scene() -> None:
    standing = [video(1)[0]] * 60
    with pytest.raises(ValueError, match="different scenes"):
        cut_signals(random_model(), [standing, standing], 2)
    with pytest.raises(ValueError, match="at least 2 videos"):
        cut_signals(random_model(), [standing], 2)


def test_estimates_of_any_source_can_stand_in_for_the_signals() -> None:
    table = made_table()
    true = disagreement(table)
    carried = with_estimates(table, true)
    read = GIVEN.disagreement(summed_signals(carried))
    pairs = real_pairs(table)
    np.testing.assert_allclose(read[pairs], true[pairs], atol=1e-3)
    np.testing.assert_array_equal(carried.agreement, table.agreement)


def test_a_late_keyframe_pays_for_its_propagation() -> None:
    table = made_table()
    schedule = run_policy(table, FixedPolicy(4), QualityModel(), COSTS)
    assert schedule.ages[:6].tolist() == [0, 1, 2, 3, 0, 1]
    assert set(schedule.milliseconds) == {60.0, 10.0}
    eager = run_policy(table, AdaptivePolicy(99), QualityModel(linear={"residual": 60.0}), COSTS)
    late = [
        eager.milliseconds[frame]
        for frame, reason in enumerate(eager.reasons)
        if reason == "quality"
    ]
    assert late and set(late) == {70.0}


def test_fixed_schedules_cover_every_start() -> None:
    schedules = fixed_schedules(made_table(), 3, COSTS)
    starts = [np.flatnonzero(schedule.ages == 0)[:3].tolist() for schedule in schedules]
    assert starts == [[0, 1, 4], [0, 2, 5], [0, 3, 6]]


def test_policies_lie_between_fixed_and_best_where_motion_varies(tmp_path: Path) -> None:
    tables = [made_table(60, seed=seed) for seed in (1, 2)]
    model = QualityModel(linear={"residual": 33.0})
    comparison = compare(tables, model, COSTS)
    assert (comparison.best_gain() > 0).all()
    # Keyframes are the truth here: what agrees with them is best.
    np.testing.assert_allclose(comparison.gain_by_agreement(), comparison.best_gain())
    assert 0.6 < comparison.reached("adaptive") <= 1.0
    assert 0.6 < comparison.reached("adaptive, true disagreement") <= 1.0
    assert comparison.reached("adaptive") > comparison.reached("budget") + 0.2
    rows = comparison_table({"made": comparison}).splitlines()
    assert len(rows) == 2 + 3 + len(comparison.curves)
    last_policy = "frame difference"
    reached, lowest = comparison.reached(last_policy), comparison.gain(last_policy).min()
    last = summary_table({"made": comparison}).splitlines()[-1]
    assert last == f"| {last_policy} | {reached:.2f} ({lowest:+.2f}) |"
    figures = json.loads(json.dumps(comparison.figures()))
    assert figures["of_best_gain"][last_policy] == pytest.approx(reached, abs=1e-3)
    assert min(figures["gain"][last_policy]) == pytest.approx(lowest, abs=1e-3)
    plot_comparisons({"made": comparison}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_accuracy_at_a_share_is_read_off_the_neighbours() -> None:
    points = tuple(Point(0, share, 0, 100 * share) for share in (0.1, 0.24, 0.25, 0.26, 0.5))
    comparison = Comparison((0.25,), (20.0,), (0.0,), (30.0,), (25.0,), {"p": points})
    assert comparison.accuracy_at("p", 0.25) == pytest.approx(25, abs=0.2)
    assert comparison.reached("p") == pytest.approx(0.5, abs=0.02)
    assert comparison.of_best(comparison.gain_by_agreement()) == pytest.approx(0.5)


def test_varied_motion_stops_goes_and_triples() -> None:
    order = varied_order(101)
    assert order[:16] == [0] * 15 + [1]
    assert set(np.diff(order)) == {0, 1, 3}
    assert max(order) <= 100
    assert varied_order(101, 3) != order and varied_order(101, 3) == varied_order(101, 3)


def test_joined_videos_follow_each_other() -> None:
    first, second = video(2), video(3, seed=1)
    whole = joined([first, second])
    assert len(whole) == 5 and whole[2][0] is second[0][0]


def test_a_kept_table_of_other_signals_is_refused(tmp_path: Path) -> None:
    counts = np.zeros((2, 1, 3, 3), np.int32)
    table = KeyframeAgeTable(counts, counts, np.ones((2, 1, len(SIGNAL_NAMES)), np.float32))
    table.save(tmp_path / "kept.npz")
    assert np.array_equal(KeyframeAgeTable.load(tmp_path / "kept.npz").signals, table.signals)
    KeyframeAgeTable(counts, counts, np.ones((2, 1, 16), np.float32)).save(tmp_path / "old.npz")
    with pytest.raises(ValueError, match=r"expected 9 signals, got 16.*delete it"):
        KeyframeAgeTable.load(tmp_path / "old.npz")
