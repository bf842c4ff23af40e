# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of the propagation network: resumable, deterministic, and it learns."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from models import TinyKeyframeNetwork, random_model
from numpy.typing import NDArray
from torch import nn
from training_runs import CutError, cut_after, rates_of

from gsvnet_lab.cli import main
from gsvnet_lab.evaluation.distances import evaluate_distances
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_lab.motion.frame import MovingFrame
from gsvnet_lab.training import trainer
from gsvnet_lab.training.clip_cache import cached_clips
from gsvnet_lab.training.propagation import propagation_schedule, train_propagation
from gsvnet_lab.training.propagation_clips import ClipBatch, load_clips
from gsvnet_lab.training.propagation_losses import clip_losses
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.recipe import read_parts, read_recipe
from gsvnet_lab.training.run import read_log
from gsvnet_model.checkpoint import read_networks, save_model
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.stream.segmenter import VideoSegmenter
from street_drive import StreetDrive

RECIPES = Path(__file__).parent.parent / "recipes"
NORMALISATION = Normalisation.swiftnet()
INFO = ModelInfo("tiny", CAMVID, NORMALISATION)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def keyframe() -> nn.Module:
    torch.manual_seed(0)
    return TinyKeyframeNetwork(11).eval()


def recipe(**values: object) -> PropagationRecipe:
    small: dict[str, object] = {
        "still_clips": 3,
        "drive_clips": 0,
        "held_out_clips": 1,
        "distance": 2,
        "flow_iterations": 3,
        "flow_batch_size": 2,
        "iterations": 4,
        "batch_size": 2,
        "average_decay": 0.9,
    }
    return PropagationRecipe(**(small | values))  # type: ignore[arg-type]


def train(
    chosen: PropagationRecipe, keyframe: nn.Module, training_folder: Path, output: Path
) -> dict[str, torch.Tensor]:
    return train_propagation(chosen, keyframe, INFO, training_folder, output, CPU)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("cut_at", [1, 5], ids=["flow", "recursion"])
def test_a_cut_run_ends_with_the_weights_of_an_uninterrupted_one(
    training_folder: Path,
    keyframe: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut_at: int,
) -> None:
    monkeypatch.setattr(trainer, "_SAVE_EVERY", 1)
    whole = train(recipe(), keyframe, training_folder, tmp_path / "whole")
    with pytest.raises(CutError), cut_after(monkeypatch, cut_at):
        train(recipe(), keyframe, training_folder, tmp_path / "cut")
    resumed = train(recipe(), keyframe, training_folder, tmp_path / "cut")
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    network = PropagationNetwork(recipe().network)
    network.load_state_dict(resumed)
    assert (tmp_path / "cut" / "curves.png").exists()


def test_both_losses_fall(
    training_folder: Path, keyframe: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_SAVE_EVERY", 10)
    chosen = recipe(still_clips=2, drive_clips=1, flow_iterations=20, iterations=20)
    train(chosen, keyframe, training_folder, tmp_path)
    lines = read_log(tmp_path)
    flow = [line["flow_loss"] for line in lines if "segmentation_loss" not in line]
    together = [line for line in lines if "segmentation_loss" in line]
    assert flow[-1] < flow[0]
    for name in ("segmentation_loss", "intra_loss"):
        assert together[-1][name] < together[0][name]
    assert 0 <= lines[-1]["propagated_miou"] <= 100


def test_parts_follow_one_another_from_the_start_given(
    training_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    keyframes, started = BiSeNet(11).eval(), PropagationNetwork(PropagationConfig(11))
    weights = tmp_path / "start.safetensors"
    info = dataclasses.replace(INFO, keyframe_network="bisenet_r18", command="before")
    save_model(weights, keyframes, started, info)
    recipe_file = tmp_path / "recipe.yaml"
    shared = (
        "still_clips: 2, drive_clips: 0, held_out_clips: 1, distance: 1, flow_iterations: 0, "
        "iterations: 1, batch_size: 1"
    )

    def run(parts: str) -> int:
        recipe_file.write_text(f"{{{shared}, parts: [{parts}]}}")
        given = ["--recipe", recipe_file, "--data", training_folder, "--output", tmp_path / "run"]
        given += ["--keyframe", weights, "--start", weights]
        return main(["train", "propagation", "--device", "cpu", *map(str, given)])

    assert run("{seed: 1}, {seed: 2, grid_filter: centred}") == 0
    _, trained, told = read_networks(tmp_path / "run" / "weights.safetensors")
    assert told.grid_filter == "centred"
    assert told.command == (
        "before; gsvnet train propagation --recipe recipe.yaml --start start.safetensors"
    )
    # The same by hand.
    for number, part in enumerate(read_parts(recipe_file, PropagationRecipe), 1):
        state = train_propagation(
            part, keyframes, info, training_folder, tmp_path / f"hand{number}", CPU, started
        )
        started = PropagationNetwork(part.network)
        started.load_state_dict(state)
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, state[name].half().to(value.dtype), msg=name)
    for parts, message in (
        ("{}, {network: {num_classes: 19}}", "parts of one network"),
        ("{network: {num_classes: 11, edge: none}}", "expected a propagation network of"),
    ):
        assert run(parts) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("network", [{"use_intra": False}, {"edge": "none"}], ids=str)
def test_variants_train(
    training_folder: Path, keyframe: nn.Module, tmp_path: Path, network: dict[str, object]
) -> None:
    config = PropagationConfig(11, **network)  # type: ignore[arg-type]
    chosen = recipe(
        network=config, flow_iterations=0, iterations=1, grid_stride=4, distillation=0.1
    )
    PropagationNetwork(config).load_state_dict(train(chosen, keyframe, training_folder, tmp_path))


def test_distillation_weighs_distance_and_vanishes_for_the_teacher(
    keyframe: nn.Module, tmp_path: Path
) -> None:
    clips = cached_clips(tmp_path, moving_ramp, 1, keyframe, INFO, "kl", CPU)
    no = np.zeros(1, np.bool_)
    batch = load_clips(clips, np.array([0]), no, no, NORMALISATION, CPU)
    network = PropagationNetwork(recipe().network).eval()
    states, state = [batch.logits[0]], batch.logits[0]
    with torch.no_grad():
        for step in (1, 2):
            state = network(state, batch.images[step], batch.images[step - 1]).logits
            states.append(state)
    weights = torch.ones(11)

    def loss(teacher: list[torch.Tensor]) -> float:
        taught = dataclasses.replace(batch, logits=torch.stack(teacher))
        with torch.no_grad():
            parts = clip_losses(recipe(distillation=1.0), network, taught, weights)
        return float(parts["distillation_loss"])

    other = states[0].roll(3, dims=1)
    near, far = loss([states[0], other, states[2]]), loss([states[0], states[1], other])
    assert loss(states) == pytest.approx(0, abs=1e-5)
    assert far > 1.5 * near > 0


def moving_ramp(index: int) -> tuple[MovingFrame, ...]:
    """Frames of a ramp that moves 8 px to the left per frame."""
    del index
    columns = np.broadcast_to(np.arange(128, dtype=np.float32), (96, 128))
    frames = []
    for time in range(3):
        shade = (columns + 8 * time).astype(np.uint8)
        flow = np.zeros((96, 128, 2), np.float32)
        flow[..., 0] = 8
        flow[0, 0] = np.nan
        valid = columns < 120
        frames.append(MovingFrame(np.repeat(shade[..., None], 3, 2), shade // 16, flow, valid))
    return tuple(frames)


@pytest.mark.parametrize("stride", [4, 8])
def test_clips_on_the_grid(tmp_path: Path, keyframe: nn.Module, stride: int) -> None:
    info = dataclasses.replace(INFO, grid_stride=stride)
    clips = cached_clips(tmp_path, moving_ramp, 2, keyframe, info, "ramp", CPU)
    grid = (96 // stride, 128 // stride)
    assert len(clips) == 2
    assert clips.images.shape == (2, 3, *grid, 3)
    assert clips.logits.shape == (2, 3, 11, *grid)
    assert clips.labels.shape == (2, 3, 2 * grid[0], 2 * grid[1])
    # 127 px between the corner pixels are grid - 1 cells.
    expected = 8 * (grid[1] - 1) / 127
    np.testing.assert_allclose(clips.flow[0, 1, 0, :, :-2], expected, rtol=2e-3)
    np.testing.assert_allclose(clips.flow[0, 1, 1], 0, atol=1e-6)
    assert clips.valid[0, 1, :, :-3].all()
    assert not clips.valid[0, 1, :, -1].any()
    # The labels' corners are the image's corners.
    assert clips.labels[0, 0, 0, 0] == 0
    assert clips.labels[0, 0, 0, -1] == 127 // 16


def test_rendering_resumes(tmp_path: Path, keyframe: nn.Module) -> None:
    asked: list[int] = []

    def render(index: int) -> tuple[MovingFrame, ...]:
        asked.append(index)
        if index == 20 and len(asked) < 30:
            raise KeyboardInterrupt
        return moving_ramp(index)

    def run() -> NDArray[np.float16]:
        clips = cached_clips(tmp_path, render, 24, keyframe, INFO, "cut", CPU)
        return np.asarray(clips.logits)

    with pytest.raises(KeyboardInterrupt):
        run()
    before = len(asked)
    asked.extend([-1] * 30)
    logits = run()
    assert min(asked[before + 30 :]) == 16  # the first chunk was kept
    np.testing.assert_array_equal(logits[0], logits[23])
    count = len(asked)
    run()
    assert len(asked) == count


def test_mirrored_and_reversed_clips_stay_consistent(tmp_path: Path, keyframe: nn.Module) -> None:
    clips = cached_clips(tmp_path, moving_ramp, 1, keyframe, INFO, "ramp", CPU)

    def load(mirrored: bool, backwards: bool) -> ClipBatch:
        flags = np.array([mirrored]), np.array([backwards])
        return load_clips(clips, np.array([0]), *flags, NORMALISATION, CPU)

    plain, mirrored, backwards = load(False, False), load(True, False), load(False, True)
    for name in ("images", "logits", "labels", "valid"):
        value = getattr(plain, name)
        torch.testing.assert_close(getattr(mirrored, name), value.flip(-1))
    torch.testing.assert_close(mirrored.flow[:, :, 0], -plain.flow[:, :, 0].flip(-1))
    torch.testing.assert_close(mirrored.flow[:, :, 1], plain.flow[:, :, 1].flip(-1))
    torch.testing.assert_close(backwards.images, plain.images.flip(0))
    torch.testing.assert_close(backwards.logits, plain.logits.flip(0))
    torch.testing.assert_close(backwards.labels, plain.labels.flip(0))
    assert not backwards.valid.any()


@pytest.mark.parametrize(
    "path", sorted(RECIPES.glob("propagation_*.yaml")), ids=lambda path: path.stem
)
def test_committed_recipes_are_complete(path: Path) -> None:
    parts = read_parts(path, PropagationRecipe)
    assert all(part.iterations > 0 for part in parts)
    assert len({part.network for part in parts}) == 1


def test_recipe_guards(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for text, message in (
        ("grid_stride: 5", "grid stride"),
        ("grid_filter: cubic", "grid_filter: expected 'centred', 'area' or"),
        ("batch_size: 0", "batch_size"),
        ("drive_clips: -1", "drive_clips"),
        ("{still_clips: 0, drive_clips: 0}", "clips to train on"),
        ("network: {num_classes: 1}", "num_classes"),
        ("motion: {noise: -1}", "noise"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_recipe(path, PropagationRecipe)


def test_learning_rates_restart_with_the_second_phase() -> None:
    """The flow network's first, then those of the rest."""
    chosen = recipe(flow_iterations=200, iterations=300, learning_rate=0.004, flow_factor=0.2)
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "is_flow": is_flow} for is_flow in (True, False)
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.0)
    rates = rates_of(optimiser, propagation_schedule(optimiser, chosen), 500)

    def cosine(step: int, count: int) -> float:
        warm_up = min(1.0, (step + 1) / 50)
        return warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / count)))

    flow = [chosen.flow_learning_rate * cosine(step, 200) for step in range(200)]
    whole = [chosen.learning_rate * cosine(step, 300) for step in range(300)]
    slowed = [0.2 * rate for rate in whole]
    np.testing.assert_allclose(rates, np.transpose([flow + slowed, flow + whole]), rtol=1e-12)


def test_too_few_stills_are_refused(
    keyframe: nn.Module, training_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(training_folder, data)
    for path in sorted((data / "train" / "images").iterdir())[3:]:
        path.unlink()
    with pytest.raises(ValueError, match=r"expected more than 3 training images.* got 3"):
        train(recipe(), keyframe, data, tmp_path / "run")


@pytest.fixture(scope="module")
def sequence() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    drive = StreetDrive(11, 96, 128)
    frames = [drive.frame(30 + index) for index in range(20)]
    return [(frame.image, frame.labels) for frame in frames]


class TestEvaluation:
    """The protocol against a plain loop over streams."""

    def test_equals_streams(
        self, sequence: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> None:
        model = random_model()
        result = evaluate_distances(model, sequence, 3)
        for distance in range(3):
            counts = np.zeros_like(result.propagated[distance].counts)
            for target in range(2, len(sequence)):
                segmenter = VideoSegmenter(model, 10)
                for image, _ in sequence[target - distance : target + 1]:
                    labels = segmenter.step(image).labels
                single = ConfusionMatrix(11)
                single.update(labels, sequence[target][1])
                counts += single.counts
            # A batch of keyframes rounds a little differently from one.
            assert np.abs(counts - result.propagated[distance].counts).sum() < 1e-3 * counts.sum()
        assert result.average_miou(1) == pytest.approx(result.propagated[0].miou())
        assert result.minimum_miou(3) == pytest.approx(result.propagated[2].miou())

    def test_a_still_clip_keeps_the_keyframes_labels(
        self, sequence: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> None:
        """As a stream does: labels are not decoded anew while nothing moves."""
        model = random_model()
        result = evaluate_distances(model, [sequence[0]] * 4 + [sequence[8]], 3)
        alone = ConfusionMatrix(11)
        for _ in range(2):  # frames 2 and 3 stand still, 4 does not
            alone.update(VideoSegmenter(model, 10).step(sequence[0][0]).labels, sequence[0][1])
        last = VideoSegmenter(model, 10)
        for image in (sequence[0][0], sequence[0][0], sequence[8][0]):
            labels = last.step(image).labels
        alone.update(labels, sequence[8][1])
        counted = result.propagated[2].counts
        assert np.abs(counted - alone.counts).sum() < 1e-3 * counted.sum()

    def test_baselines_on_a_still_clip(
        self, sequence: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> None:
        still = [sequence[0]] * 6
        result = evaluate_distances(random_model(), still, 4, "grid")
        for matrix in result.repeated[1:]:
            np.testing.assert_array_equal(matrix.counts, result.repeated[0].counts)
        np.testing.assert_array_equal(result.warped[0].counts, result.propagated[0].counts)

    def test_exceptions(self, sequence: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
        model = random_model()
        with pytest.raises(ValueError, match="at least 3 frames"):
            evaluate_distances(model, sequence[:2], 3)
        with pytest.raises(ValueError, match="at least one distance"):
            evaluate_distances(model, sequence, 0)
        with pytest.raises(ValueError, match="keyframe output"):
            evaluate_distances(model, sequence, 2, "logits")  # type: ignore[arg-type]
        image, labels = sequence[0]
        with pytest.raises(ValueError, match="throughout the sequence"):
            evaluate_distances(model, [sequence[0], (image[:-1], labels[:-1])], 2)
        result = evaluate_distances(model, sequence[:3], 2)
        for interval in (0, 3):
            with pytest.raises(ValueError, match="interval of 1 to 2"):
                result.average_miou(interval)
