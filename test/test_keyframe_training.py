# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training of keyframe networks: resumable, deterministic, and it learns."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from models import TinyKeyframeNetwork
from numpy.typing import NDArray
from training_runs import CutError, cut_after, rates_of

from gsvnet_lab.cli import main
from gsvnet_lab.data import drive_pool
from gsvnet_lab.data.augment import Augmentation, paste_classes, random_view
from gsvnet_lab.data.camvid import find_camvid, open_split
from gsvnet_lab.data.drive_pool import load_drive_pool
from gsvnet_lab.fitting.store import store_logit_adjustment
from gsvnet_lab.training import keyframe, trainer
from gsvnet_lab.training.keyframe import keyframe_schedule, load_pretrained, train_keyframe
from gsvnet_lab.training.keyframe_losses import keyframe_loss, soft_jaccard_loss
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe, Phase
from gsvnet_lab.training.losses import class_weights
from gsvnet_lab.training.recipe import read_parts, read_recipe
from gsvnet_lab.training.run import Run, read_log
from gsvnet_model.checkpoint import read_networks, save_model
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.keyframe.ddrnet import DDRNet
from gsvnet_model.networks.keyframe.swiftnet import SwiftNet
from gsvnet_model.outputs.classes import CAMVID, IGNORE_INDEX, ClassTable

RECIPES = Path(__file__).parent.parent / "recipes"
INFO = ModelInfo("swiftnet_r18", CAMVID, Normalisation.swiftnet())


def recipe(iterations: int) -> KeyframeRecipe:
    return KeyframeRecipe(
        iterations=iterations,
        batch_size=2,
        drive_pool=2,
        phases=(Phase(0.5, (64, 64), 0), Phase(0.5, (64, 96), 1)),
        warm_up=2,
        average_decay=0.9,
        jaccard=0.5,
        loss_stride=2,
    )


@pytest.mark.usefixtures("one_thread")
def test_a_cut_run_ends_with_the_weights_of_an_uninterrupted_one(
    training_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_SAVE_EVERY", 3)
    device = torch.device("cpu")
    whole = train_keyframe(recipe(6), INFO, training_folder, tmp_path / "whole", device)
    with pytest.raises(CutError), cut_after(monkeypatch, 4):
        train_keyframe(recipe(6), INFO, training_folder, tmp_path / "cut", device)
    resumed = train_keyframe(recipe(6), INFO, training_folder, tmp_path / "cut", device)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    other = build_keyframe_network(recipe(6).network, 11)
    less_data = tmp_path / "data"
    shutil.copytree(training_folder, less_data)
    next((less_data / "train" / "images").iterdir()).unlink()
    for changed, start, data in (
        (recipe(7), None, training_folder),
        (recipe(6), other, training_folder),
        (recipe(6), None, less_data),
    ):
        with pytest.raises(ValueError, match="holds a training of another recipe"):
            train_keyframe(changed, INFO, data, tmp_path / "cut", device, start)


@pytest.mark.parametrize(("iterations", "warm_up"), [(300, 40), (30, 0), (30, 1), (20, 50)])
def test_learning_rates_warm_up_and_then_follow_a_cosine(iterations: int, warm_up: int) -> None:
    chosen = dataclasses.replace(recipe(iterations), warm_up=warm_up, learning_rate=0.0015)
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    optimiser = torch.optim.AdamW(parameters, lr=chosen.learning_rate)
    rates = rates_of(optimiser, keyframe_schedule(optimiser, chosen), iterations)

    def expected(iteration: int) -> float:
        if iteration < warm_up:
            return chosen.learning_rate * (iteration + 1) / warm_up
        progress = (iteration - warm_up) / max(1, iterations - warm_up)
        return chosen.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    wanted = [[expected(iteration)] for iteration in range(iterations)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-12)


def test_the_average_forgets_the_first_weights_soon() -> None:
    """The mean by its recursion, of weights, statistics and counters."""
    network = torch.nn.BatchNorm2d(3)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    average = trainer.weight_average(network, 0.9)
    for update in range(1, 201):
        network(torch.randn(4, 3, 2, 2))
        with torch.no_grad():
            network.weight.add_(torch.randn(3))
        average.update_parameters(network)
        decay = min(0.9, (1 + update) / (10 + update))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                expected[name] += (1 - decay) * (value - expected[name])
            else:
                expected[name] = value.clone()
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    assert average.module.state_dict()["num_batches_tracked"] == 200


@pytest.mark.parametrize("at", [5, 6], ids=["within", "last"])
def test_a_loss_that_is_not_finite_ends_the_training(
    training_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    at: int,
) -> None:
    monkeypatch.setattr(trainer, "_SAVE_EVERY", 3)
    calls: list[int] = []

    def loss(*arguments: object) -> torch.Tensor:
        calls.append(0)
        return keyframe_loss(*arguments) * (math.nan if len(calls) == at else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(keyframe, "keyframe_loss", loss)
    run = tmp_path / "run"
    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text(
        "{iterations: 6, batch_size: 2, learning_rate: 0.002, warm_up: 1, phases: "
        "[{share: 1.0, crop: [64, 64], drive_images: 0}]}"
    )
    given = ["--recipe", recipe_file, "--data", training_folder, "--output", run]
    assert main(["train", "keyframe", "--device", "cpu", *map(str, given)]) == 2
    said = capsys.readouterr().err
    assert f"loss became nan in iteration {at} of 6, at learning rate 0.00" in said
    assert "the last checkpoint there, of iteration 3, stays" in said
    assert "Lower the learning rate" in said
    assert not (run / "weights.safetensors").exists()
    kept = torch.load(run / "checkpoint.pt", weights_only=True)
    assert kept["iteration"] == 3
    assert all(value.isfinite().all() for value in kept["network"].values())


def test_weights_that_are_not_finite_are_not_saved(
    training_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient can overflow where the loss has not, in the last iteration too."""

    def loss(network: torch.nn.Module, *arguments: object) -> torch.Tensor:
        parameter = next(network.parameters())
        return (parameter - parameter.detach()).abs().sqrt().sum()  # 0, with the slope 0 * inf

    monkeypatch.setattr(keyframe, "keyframe_loss", loss)
    with pytest.raises(ValueError, match=r"is not finite in iteration 1 of 1.*no checkpoint had"):
        train_keyframe(recipe(1), INFO, training_folder, tmp_path, torch.device("cpu"))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_checkpoint_of_another_format_is_refused(training_folder: Path, tmp_path: Path) -> None:
    arguments = (recipe(1), INFO, training_folder, tmp_path, torch.device("cpu"))
    train_keyframe(*arguments)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del checkpoint["format"]
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"another version of this program.*another folder"):
        train_keyframe(*arguments)


def test_void_batches_teach_nothing_and_void_data_is_refused() -> None:
    network = TinyKeyframeNetwork(4)
    images, void = torch.randn(2, 3, 16, 16), torch.full((2, 16, 16), IGNORE_INDEX)
    chosen = KeyframeRecipe(num_classes=4)
    loss = keyframe_loss(network, images, void, torch.ones(4), chosen, None)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert not any(p.grad.any() for p in network.parameters() if p.grad is not None)
    with pytest.raises(ValueError, match="got void in every pixel"):
        class_weights([void.numpy().astype(np.uint8)], 4, 0.4)


def test_validation_without_labels_leaves_no_nan_in_the_log(
    training_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(training_folder, data)
    for path in (data / "val" / "labels").iterdir():
        cv2.imwrite(str(path), np.full((96, 128), IGNORE_INDEX, np.uint8))
    train_keyframe(recipe(1), INFO, data, tmp_path / "run", torch.device("cpu"))
    text = (tmp_path / "run" / "log.jsonl").read_text()
    assert "NaN" not in text
    assert set(json.loads(text)) == {"iteration", "loss", "seconds_per_iteration"}


def test_the_loss_falls(
    training_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_SAVE_EVERY", 6)
    train_keyframe(recipe(48), INFO, training_folder, tmp_path, torch.device("cpu"))
    losses = [line["loss"] for line in read_log(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("keyframe_*.yaml")), ids=lambda p: p.stem)
def test_committed_recipes_are_complete(path: Path) -> None:
    parts = read_parts(path, KeyframeRecipe)
    assert all(part.iterations > 0 for part in parts)
    assert len({part.network for part in parts}) == 1


def test_recipe_guards(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with pytest.raises(ValueError, match="found none"):
        read_recipe(path, KeyframeRecipe)
    for text, message in (
        ("iteration: 3", "iteration: expected no such key: leave it out.*, got 3"),
        ("augmentation: {flop: 1}", r"augmentation\.flop: expected no such key"),
        ("- 1", "expected a mapping"),
        ("phases: [{share: 0.5, crop: [64, 64], drive_images: 0}]", "sum to 1, got 0.5"),
        ("phases: [{share: 1, crop: [64, 64], drive_images: 8}]", "drive_images"),
        ("phases: [{share: 1, crop: [64], drive_images: 0}]", r"crop\.1: expected a value, got n"),
        ("phases: [{crop: [64, 64], drive_images: 0}]", r"phases\.0\.share: expected a value"),
        ("phases: 3", "phases: expected a list, got 3"),
        ("augmentation: {scale: [2, 1]}", "augmentation: expected 0 < smallest"),
        ("augmentation: 3", "augmentation: expected a mapping, got 3"),
        ("loss_stride: 0", "loss_stride: expected at least 1, got 0"),
        ("iterations: 0", "iterations: expected at least 1, got 0"),
        ("batch_size: 1", "batch_size: expected at least 2, got 1: .* batch normalisation"),
        ("{drive_pool: 0}", "expected a drive_pool of at least 1"),
        ("learning_rate: fast", "learning_rate: expected a number, got 'fast'"),
        ("learning_rate: true", "learning_rate: expected a number, got True"),
        ("learning_rate: -1", "learning_rate: expected more than 0, got -1"),
        ("learning_rate: .nan", "learning_rate: expected a finite number, got nan"),
        ("average_decay: 1.5", "average_decay: expected at most 1, got 1.5"),
        ("iterations: 1.5", "iterations: expected a whole number, got 1.5"),
        ("network: 18", "network: expected a text, got 18"),
        ("parts: []", "a list of mappings"),
        ("parts: [1]", "part 1|expected a mapping"),
        ("parts: [{seed: 1}, {seed: x}]", "part 2: seed: expected a whole number, got 'x'"),
        ("parts: [{seed: 1}, {seed: 2}]", "expected a recipe of one part, got 2"),
        ("network: [swiftnet_r18", "expected YAML, got: while parsing"),
        ("seed: &a 1\nwarm_up: *a", "expected YAML, got: found an alias; write the values out"),
        ("seed: " + "[" * 20000, "expected YAML, got: "),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_recipe(path, KeyframeRecipe)
        assert str(caught.value).startswith(str(path))
        assert len(str(caught.value)) < 800


def test_every_wrong_field_of_a_recipe_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("{learning_rate: fast, iterations: 0, speed: 3}")
    with pytest.raises(ValueError, match="learning_rate") as caught:
        read_recipe(path, KeyframeRecipe)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["iterations", "learning_rate", "speed"]


def test_numbers_are_read_as_meant(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("{learning_rate: 2e-3, jaccard: 1}")  # YAML 1.1 reads a text and an integer
    recipe = read_recipe(path, KeyframeRecipe)
    assert (recipe.learning_rate, recipe.jaccard) == (0.002, 1.0)
    assert type(recipe.jaccard) is float


def test_parts_share_what_they_do_not_say(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "{seed: 5, augmentation: {flip: 0.25, scale: [1, 2]}, parts: "
        "[{iterations: 7}, {seed: 6, augmentation: {scale: [0.5, 1]}}]}"
    )
    first, second = read_parts(path, KeyframeRecipe)
    assert (first.seed, first.iterations, first.augmentation.scale) == (5, 7, (1, 2))
    assert (second.seed, second.iterations) == (6, KeyframeRecipe().iterations)
    assert (second.augmentation.flip, second.augmentation.scale) == (0.25, (0.5, 1))


def test_parts_follow_one_another(
    training_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = (
        "network: swiftnet_r18, batch_size: 2, drive_pool: 1, "
        "phases: [{share: 1.0, crop: [64, 64], drive_images: 0}]"
    )
    recipe_file = tmp_path / "recipe.yaml"

    def train(parts: str) -> int:
        recipe_file.write_text(f"{{{shared}, parts: [{parts}]}}")
        given = ["--recipe", recipe_file, "--data", training_folder, "--output", tmp_path / "run"]
        return main(["train", "keyframe", "--device", "cpu", *map(str, given)])

    assert train("{iterations: 2}, {iterations: 3, seed: 2}") == 0
    trained, _, info = read_networks(tmp_path / "run" / "weights.safetensors")
    assert info.command == "gsvnet train keyframe --recipe recipe.yaml"
    # Nothing is left to learn, so what was fitted since stays.
    bias = tuple(np.linspace(-1, 1, 11).tolist())
    store_logit_adjustment(tmp_path / "run" / "weights.safetensors", bias, "balanced")
    assert train("{iterations: 2}, {iterations: 3, seed: 2}") == 0
    assert "nothing was left to train" in capsys.readouterr().out
    _, _, again = read_networks(tmp_path / "run" / "weights.safetensors")
    assert (again.logit_adjustment, again.command) == (bias, "balanced")
    # The same by hand.
    network = None
    for number, part in enumerate(read_parts(recipe_file, KeyframeRecipe), 1):
        folder, device = tmp_path / f"hand{number}", torch.device("cpu")
        state = train_keyframe(part, INFO, training_folder, folder, device, network)
        network = SwiftNet(11)
        network.load_state_dict(state)
        kept, _, _ = read_networks(tmp_path / "run" / f"part{number}" / "weights.safetensors")
        for name, value in kept.state_dict().items():
            torch.testing.assert_close(value, state[name].half().to(value.dtype), msg=name)
    for name, value in kept.state_dict().items():
        assert torch.equal(trained.state_dict()[name], value), name
    for parts, message in (
        ("{iterations: 2}, {network: bisenet_r18}", "parts of one network"),
        ("{iterations: 2}, {distillation: 0.5}", "expected a --teacher"),
    ):
        assert train(parts) == 2
        assert message in capsys.readouterr().err


def test_another_network_gives_its_encoder_and_nothing_else() -> None:
    swiftnet, bisenet = SwiftNet(11), BiSeNet(11)
    fresh = {name: value.clone() for name, value in bisenet.state_dict().items()}
    load_pretrained(bisenet, swiftnet)
    encoder = swiftnet.encoder.state_dict()
    for name, value in bisenet.state_dict().items():
        inner = name.removeprefix("context.")
        assert torch.equal(value, encoder[inner] if inner != name else fresh[name]), name
    with pytest.raises(ValueError, match=r"expected weights of DDRNet .* got SwiftNet"):
        load_pretrained(DDRNet(11), swiftnet)


def test_views_keep_labels_on_their_pixels() -> None:
    """An image that shows its own labels still does so after geometry without colour."""
    labels = np.repeat(np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4), 40, 0), 40, 1)
    image = np.repeat(labels[..., None] * 20, 3, 2)
    geometry_only = Augmentation(
        brightness=0, contrast=0, saturation=0, channel_gain=0, blur=0, noise=0
    )
    void = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        view, view_labels = random_view(image, labels, (64, 96), geometry_only, rng)
        known = view_labels != IGNORE_INDEX
        void += int((~known).sum())
        agree = np.abs(view[..., 0].astype(int) - view_labels * 20.0) < 11
        assert agree[known].mean() > 0.97
    assert void > 0  # the zoomed-out views reach beyond the image


def test_dusk_darkens_and_tints_but_moves_nothing() -> None:
    levels = np.repeat(np.arange(0, 256, 4, dtype=np.uint8), 64).reshape(64, 64)
    image = np.repeat(levels[..., None], 3, 2)
    plain = Augmentation(
        scale=(1, 1), rotation_deg=0, flip=0, brightness=0, contrast=0, saturation=0,
        channel_gain=0, blur=0, noise=0, gamma=0.3,
    )  # fmt: skip
    dusk = dataclasses.replace(plain, gamma=0.0, dusk=1.0)
    labels = np.zeros((64, 64), np.uint8)
    for seed in range(5):
        view, _ = random_view(image, labels, (64, 64), dusk, np.random.default_rng(seed))
        assert view.mean() < image.mean()
        assert (np.diff(view[:, 0].astype(int), axis=0) >= 0).all()  # no level overtakes another
        assert np.ptp(view[-1, 0].astype(int)) > 3  # white has a colour
        view, _ = random_view(image, labels, (64, 64), plain, np.random.default_rng(seed))
        assert (view[0] == 0).all() and (view[-1] >= 250).all()  # gamma keeps both ends
        assert (np.ptp(view, axis=2) == 0).all()
        assert not np.array_equal(view, image)


def test_soft_jaccard_loss_is_one_minus_iou_for_sure_predictions() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [2, 2, IGNORE_INDEX, IGNORE_INDEX]]])
    predicted = torch.tensor([[[0, 1, 1, 1], [2, 2, 0, 3]]])
    logits = 100.0 * torch.nn.functional.one_hot(predicted, 5).movedim(-1, 1).float()
    expected = 1 - (1 / 2 + 2 / 3 + 1) / 3  # classes 0, 1, 2; void and absent classes do not count
    assert soft_jaccard_loss(logits, labels).item() == pytest.approx(expected, abs=1e-5)
    void = torch.full_like(labels, IGNORE_INDEX)
    assert soft_jaccard_loss(logits, void).item() == 1


def test_auxiliary_heads_count_as_their_network_says() -> None:
    logits, other = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)

    class TwoHeads(torch.nn.Module):
        def forward_with_auxiliary(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [logits, other]

    network = TwoHeads()
    arguments = (
        torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int64), torch.ones(4),
        KeyframeRecipe(num_classes=4, loss_stride=2), None,
    )  # fmt: skip
    single = float(np.log(4))
    assert keyframe_loss(network, *arguments).item() == pytest.approx(2 * single, rel=1e-4)
    network.auxiliary_weight = 0.4  # type: ignore[assignment]
    assert keyframe_loss(network, *arguments).item() == pytest.approx(1.4 * single, rel=1e-4)


def test_a_teacher_pulls_the_student_to_its_labels(training_folder: Path, tmp_path: Path) -> None:
    class Sure(torch.nn.Module):
        """Sees one class everywhere."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(images), 11, images.shape[2] // 8, images.shape[3] // 8)
            logits[:, 4] = 20.0
            return logits

    image = torch.zeros(1, 3, 64, 64)

    def belief(chosen: KeyframeRecipe, teacher: torch.nn.Module | None, folder: str) -> float:
        state = train_keyframe(
            chosen, INFO, training_folder, tmp_path / folder, torch.device("cpu"), teacher=teacher
        )
        network = SwiftNet(11)
        network.load_state_dict(state)
        with torch.inference_mode():
            return float(network.eval()(image).softmax(1)[:, 4].mean())

    alone = belief(recipe(8), None, "alone")
    taught = dataclasses.replace(recipe(8), distillation=20.0)
    assert belief(taught, Sure(), "taught") > 2 * alone
    with pytest.raises(ValueError, match="no teacher"):
        belief(taught, None, "neither")
    with pytest.raises(ValueError, match="a teacher"):
        belief(recipe(8), Sure(), "idle")


def test_weights_of_the_same_network_keep_their_propagation(
    training_folder: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text(
        "{network: swiftnet_r18, iterations: 1, batch_size: 2, drive_pool: 1, phases: "
        "[{share: 1.0, crop: [64, 64], drive_images: 0}]}"
    )

    def train(start: Path) -> int:
        given = ["--recipe", recipe_file, "--data", training_folder, "--start", start]
        output = ["--output", tmp_path, "--device", "cpu"]
        return main(["train", "keyframe", *map(str, given + output)])

    _, before, info = read_networks(weights_path)
    assert train(weights_path) == 0
    keyframe, after, tuned = read_networks(tmp_path / "weights.safetensors")
    assert isinstance(keyframe, SwiftNet)
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value)
    assert tuned.command.endswith("--recipe recipe.yaml --start random.safetensors")
    # What was fitted to the weights of before says nothing about these.
    assert tuned.metrics == {}
    assert not tuned.quality.is_fitted
    assert dataclasses.replace(tuned, command=info.command) == info.unfitted()

    other = tmp_path / "other.safetensors"
    grey = dataclasses.replace(info, normalisation=Normalisation((0.0,) * 3, (1.0,) * 3))
    save_model(other, keyframe, after, grey, torch.float16)
    assert train(other) == 2
    assert "expected normalisation" in capsys.readouterr().err
    renamed = dataclasses.replace(info, classes=ClassTable.numbered(11))
    save_model(other, keyframe, after, renamed, torch.float16)
    assert train(other) == 2
    assert "expected classes" in capsys.readouterr().err

    recipe_file.write_text("{network: swiftnet_r18, num_classes: 12}")
    assert train(weights_path) == 2
    assert "expected num_classes 11 (sky, building" in capsys.readouterr().err
    recipe_file.write_text("{network: [swiftnet_r18")
    assert train(weights_path) == 2
    assert "recipe.yaml: expected YAML, got: while parsing" in capsys.readouterr().err


def test_drive_pool_is_kept_until_the_renderer_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[int] = []

    class BlankDrive:
        def __init__(self, seed: int, height: int, width: int) -> None:
            rendered.append(seed)
            self.image = np.full((height, width, 3), seed, np.uint8)

        def frame(self, index: int) -> SimpleNamespace:
            return SimpleNamespace(image=self.image, labels=self.image[..., 0] + index)

    monkeypatch.setattr(drive_pool, "StreetDrive", BlankDrive)
    images, labels = load_drive_pool(tmp_path, 13, 4, 6, first_seed=3)
    again, again_labels = load_drive_pool(tmp_path, 13, 4, 6, first_seed=3)
    assert np.array_equal(images, again) and np.array_equal(labels, again_labels)
    assert labels[:, 0, 0].tolist() == [*range(3, 3 + 12 * 17, 17), 4]
    assert rendered == [3, 4]  # twelve images of a drive, and only once
    assert [path.suffixes for path in tmp_path.glob("drive_pool*")] == [[".npz"]]
    monkeypatch.setattr(drive_pool, "RENDERER_VERSION", "another")
    load_drive_pool(tmp_path, 13, 4, 6, first_seed=3)
    assert rendered == [3, 4, 3, 4]


def test_pasted_classes_bring_their_pixels() -> None:
    image, labels = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    other_labels = np.full((8, 8), IGNORE_INDEX, np.uint8)
    other_labels[2:5, 2:5] = 3
    other_image = np.full((8, 8, 3), 200, np.uint8)
    paste_classes(image, labels, other_image, other_labels, np.random.default_rng(0))
    assert (labels[2:5, 2:5] == 3).all()
    assert (labels == 3).sum() == 9
    assert np.array_equal(image[..., 0] == 200, labels == 3)


def test_data_folder_guards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training_folder: Path
) -> None:
    monkeypatch.delenv("GSVNET_DATA", raising=False)
    with pytest.raises(ValueError, match="GSVNET_DATA"):
        find_camvid()
    with pytest.raises(ValueError, match="train/images"):
        find_camvid(tmp_path)
    monkeypatch.setenv("GSVNET_DATA", str(training_folder))
    assert find_camvid() == training_folder
    (tmp_path / "val" / "images").mkdir(parents=True)
    with pytest.raises(ValueError, match="found none"):
        open_split(tmp_path, "val", 11)
    cv2.imwrite(str(tmp_path / "val" / "images" / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="label PNG"):
        open_split(tmp_path, "val", 11)


def write_frame(folder: Path, name: str, labels: NDArray[np.uint8]) -> None:
    for kind, content in (("images", np.dstack([labels] * 3)), ("labels", labels)):
        (folder / "val" / kind).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "val" / kind / f"{name}.png"), content)


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        write_frame(tmp_path, f"frame_{number}", np.full((2, 2), number, np.uint8))
    split = open_split(tmp_path, "val", 11)
    assert [int(labels[0, 0]) for _, labels in split] == [1, 9, 10]


def test_labels_of_no_class_are_void_or_refused(tmp_path: Path) -> None:
    """The SegNet tutorial's void is 11; other ids are of another class table."""
    write_frame(tmp_path, "a", np.array([[0, 10, 11, 255]], np.uint8))
    write_frame(tmp_path, "b", np.array([[0, 12, 18, 255]], np.uint8))
    split = open_split(tmp_path, "val", 11)
    assert split[0][1].tolist() == [[0, 10, 255, 255]]
    with pytest.raises(ValueError, match=r"b\.png: expected class ids 0 to 10.* got \[12, 18\]"):
        split[1]
    assert open_split(tmp_path, "val", 19)[1][1].tolist() == [[0, 12, 18, 255]]


def test_digest_is_of_all_files(tmp_path: Path) -> None:
    labels = np.zeros((2, 2), np.uint8)
    write_frame(tmp_path, "a", labels)
    digests = [open_split(tmp_path, "val", classes).digest() for classes in (11, 11, 19)]
    write_frame(tmp_path, "b", labels)
    digests.append(open_split(tmp_path, "val", 11).digest())
    write_frame(tmp_path, "b", labels + 1)
    digests.append(open_split(tmp_path, "val", 11).digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


@pytest.mark.parametrize("content", [b"", b"half", pickle.dumps({"iteration": print}, 2)])
def test_a_damaged_training_is_told(tmp_path: Path, content: bytes) -> None:
    """PyTorch's own text is of nine lines, and advises to run whatever the file holds."""
    Run.checkpoint_file(tmp_path).write_bytes(content)
    with pytest.raises(ValueError, match="got a damaged file; delete it to begin anew"):
        Run(tmp_path, "identity")
