# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of the universal network: batches with other classes, and a run from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from models import TinyKeyframeNetwork

from gsvnet_lab.cli import main
from gsvnet_lab.training import trainer as learner
from gsvnet_lab.training.propagation_clips import ClipBatch
from gsvnet_lab.training.recipe import read_parts
from gsvnet_lab.training.relabelled_clips import (
    class_weights_of,
    merged_classes,
    split_classes,
    there_and_back,
)
from gsvnet_lab.training.run import read_log
from gsvnet_lab.training.universal import train_universal
from gsvnet_lab.training.universal_recipe import UniversalRecipe
from gsvnet_lab.universal.checkpoint import read_universal
from gsvnet_lab.universal.network import UniversalConfig
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation.flow import FlowLight
from gsvnet_model.outputs.classes import CAMVID

RECIPES = Path(__file__).parent.parent / "recipes"
INFO = ModelInfo("tiny", CAMVID, Normalisation.swiftnet())
CLASSES = 5


def batch(frames: int = 4, clips: int = 2) -> ClipBatch:
    """Return clips whose logits say what the labels do, at half the size; they stand still."""
    torch.manual_seed(0)
    cells = torch.randint(0, CLASSES, (1, clips, 6, 8)).expand(frames, -1, -1, -1)
    logits = 20.0 * torch.nn.functional.one_hot(cells, CLASSES).permute(0, 1, 4, 2, 3)
    labels = cells.repeat_interleave(2, 2).repeat_interleave(2, 3).clone()
    labels[:, 0, :2] = 255
    return ClipBatch(
        images=torch.randn(1, clips, 3, 6, 8).expand(frames, -1, -1, -1, -1),
        logits=logits,
        labels=labels,
        flow=torch.zeros(frames, clips, 2, 6, 8),
        valid=torch.ones(frames, clips, 6, 8),
    )


def wins(made: ClipBatch) -> float:
    """Return the share of labels, without void, that the logits give as well."""
    winners = made.logits.argmax(2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    known = made.labels != 255
    return float((winners == made.labels)[known].float().mean())


@pytest.mark.parametrize("seed", range(8))
class TestClasses:
    def test_merging_keeps_probabilities_and_void(self, seed: int) -> None:
        plain = batch()
        made = merged_classes(plain, np.random.default_rng(seed))
        num_classes = made.logits.shape[2]
        assert 2 <= num_classes <= CLASSES
        torch.testing.assert_close(made.logits.logsumexp(2), plain.logits.logsumexp(2))
        assert set(made.labels.flatten().tolist()) == {*range(num_classes), 255}
        assert torch.equal(made.labels == 255, plain.labels == 255)
        assert wins(made) == 1

    def test_splitting_keeps_probabilities_and_void(self, seed: int) -> None:
        plain = batch()
        made = split_classes(plain, np.random.default_rng(seed))
        torch.testing.assert_close(made.logits.logsumexp(2), plain.logits.logsumexp(2))
        assert made.logits.shape[2] >= CLASSES
        assert (made.labels == 255)[plain.labels == 255].all()
        # Halves are told apart in the middle between two cells, where logits are not.
        assert wins(made) > 0.7


def test_splitting_makes_labels_of_its_own() -> None:
    made = split_classes(batch(), np.random.default_rng(0))
    assert made.logits.shape[2] > CLASSES
    assert (made.labels[made.labels != 255] >= CLASSES).any()


def test_there_and_back() -> None:
    plain = batch(frames=3)
    numbered = torch.arange(3.0).view(3, 1, 1, 1, 1).expand_as(plain.images)
    made = there_and_back(ClipBatch(**{**vars(plain), "images": numbered}), 7)
    assert made.images[:, 0, 0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2]
    assert made.valid[:, 0, 0, 0].tolist() == [0, 1, 1, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        there_and_back(batch(frames=1), 3)


def test_rare_classes_weigh_more() -> None:
    plain = batch()
    labels = torch.zeros_like(plain.labels)
    labels[..., :1] = 1
    weights = class_weights_of(ClipBatch(**{**vars(plain), "labels": labels}), 0.5)
    assert weights[1] > weights[0]
    assert weights.mean() == pytest.approx(1)


def test_a_run_learns_and_another_call_has_nothing_left_to_do(
    training_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "_SAVE_EVERY", 10)
    torch.manual_seed(0)
    keyframe, flow = TinyKeyframeNetwork(11).eval(), FlowLight()
    recipe = UniversalRecipe(
        still_clips=2,
        drive_clips=0,
        wide_clips=1,
        held_out_clips=1,
        distance=2,
        longer_distance=3,
        longer=0.5,
        flow_iterations=0,
        iterations=20,
        batch_size=2,
        average_decay=0.9,
        universal=UniversalConfig(4),
    )
    common = (keyframe, INFO, training_folder, tmp_path, torch.device("cpu"), flow)
    learned = train_universal(recipe, *common)
    lines = read_log(tmp_path)
    assert lines[-1]["iteration"] == 20
    assert 0 <= lines[-1]["propagated_miou"] <= 100
    again = train_universal(recipe, *common)
    assert all(torch.equal(value, again[name]) for name, value in learned.items())
    assert len(read_log(tmp_path)) == len(lines)


def test_verb(training_folder: Path, weights_path: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "network: {num_classes: 11}\n"
        "universal: {guide_channels: 4}\n"
        "still_clips: 1\ndrive_clips: 0\nheld_out_clips: 1\ndistance: 1\nlonger_distance: 2\n"
        "flow_iterations: 0\niterations: 1\nbatch_size: 1\n"
        "parts: [{seed: 1}, {seed: 2}]\n"
    )
    arguments = ["--recipe", recipe, "--weights", weights_path, "--data", training_folder]
    output = tmp_path / "run"
    assert main(["train", "universal", *map(str, arguments), "--output", str(output)]) == 0
    network, info = read_universal(output / "universal_propagation.safetensors")
    assert network.config == UniversalConfig(4)
    assert info.normalisation == Normalisation.swiftnet()
    assert "gsvnet train universal --recipe recipe.yaml" in info.command


@pytest.mark.parametrize(
    "values",
    [
        {"merged": 1.5},
        {"split": -0.1},
        {"longer": 2.0},
        {"longer_distance": 0},
        {"logit_scale": 0.5},
        {"wide_clips": -1},
    ],
    ids=str,
)
def test_recipe_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        UniversalRecipe(**values)  # type: ignore[arg-type]


def test_the_recipe_of_the_shipped_network_can_be_read() -> None:
    parts = read_parts(RECIPES / "universal_propagation_camvid.yaml", UniversalRecipe)
    assert len({part.universal for part in parts}) == 1
    assert parts[-1].of_wide_clips.motion == parts[-1].wide_motion != parts[-1].motion
