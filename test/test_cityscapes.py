# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Cityscapes: folder layout, train ids and the protocol, on a folder written here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from models import TinyKeyframeNetwork, random_model

from gsvnet_lab.cli import main
from gsvnet_lab.data.cityscapes import open_cityscapes, read_train_ids
from gsvnet_lab.evaluation.cityscapes import evaluate_snippets
from gsvnet_lab.evaluation.metrics import ConfusionMatrix, pooled
from gsvnet_model import CITYSCAPES, ModelInfo, SegmentationModel, VideoSegmenter
from gsvnet_model.checkpoint import save_model
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from street_drive import StreetDrive

HEIGHT, WIDTH = 64, 128
LAST_FRAMES = {"aachen": 19, "frankfurt": 294}
"""Number of the labelled frame; in some cities snippets do not begin at 0."""

ID_OF_CAMVID_CLASS = np.array([23, 11, 17, 7, 8, 21, 20, 13, 26, 24, 33], np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two snippets of rendered streets, only the last three frames of each up to the label."""
    root = tmp_path_factory.mktemp("cityscapes")
    for seed, (city, last) in enumerate(LAST_FRAMES.items()):
        drive = StreetDrive(seed, HEIGHT, WIDTH)
        for number in range(last - 2, last + 1):
            frame = drive.frame(number % 30)
            images = root / "leftImg8bit_sequence" / "val" / city
            images.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(
                str(images / f"{city}_000000_{number:06d}_leftImg8bit.png"),
                cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR),
            )
        labels = root / "gtFine" / "val" / city
        labels.mkdir(parents=True)
        ids = np.zeros(256, np.uint8)  # 0 is "unlabeled"
        ids[: len(ID_OF_CAMVID_CLASS)] = ID_OF_CAMVID_CLASS
        cv2.imwrite(
            str(labels / f"{city}_000000_{last:06d}_gtFine_labelIds.png"), ids[frame.labels]
        )
    return root


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    torch.manual_seed(0)
    return SegmentationModel(
        TinyKeyframeNetwork(19),
        PropagationNetwork(PropagationConfig(19)),
        ModelInfo("tiny", CITYSCAPES, Normalisation.swiftnet()),
    )


def test_train_ids(tmp_path: Path) -> None:
    path = tmp_path / "a_000000_000019_gtFine_labelIds.png"
    cv2.imwrite(str(path), np.arange(64, dtype=np.uint8).reshape(8, 8))
    train_ids = read_train_ids(path).ravel()
    assert [CITYSCAPES.names[train_ids[name]] for name in (7, 8, 23, 26, 33)] == [
        "road",
        "sidewalk",
        "sky",
        "car",
        "bicycle",
    ]
    assert (train_ids[[0, 1, 6, 9, 10, 14, 18, 29, 30, 34]] == 255).all()
    assert sorted(train_ids[train_ids != 255]) == list(range(19))
    already = tmp_path / "a_000000_000019_gtFine_labelTrainIds.png"
    cv2.imwrite(str(already), np.array([[0, 18, 255]], np.uint8))
    np.testing.assert_array_equal(read_train_ids(already), [[0, 18, 255]])


def test_snippets_end_with_the_labelled_frame(folder: Path) -> None:
    snippets = open_cityscapes(folder, "val", 3)
    names = [[path.name for path in snippet.image_files] for snippet in snippets]
    assert names == [
        [f"{city}_000000_{last - back:06d}_leftImg8bit.png" for back in (2, 1, 0)]
        for city, last in LAST_FRAMES.items()
    ]
    frames = snippets[1].read()
    assert [image.shape for image, _ in frames] == [(HEIGHT, WIDTH, 3)] * 3
    assert all((truth == 255).all() for _, truth in frames[:-1])
    # A road runs along the bottom of the rendered street, in train ids.
    assert np.bincount(frames[-1][1][-1]).argmax() == CITYSCAPES.names.index("road")


def test_train_ids_are_preferred(folder: Path) -> None:
    labels = folder / "gtFine" / "val" / "aachen"
    path = labels / "aachen_000000_000019_gtFine_labelTrainIds.png"
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH), 5, np.uint8))
    try:
        snippets = open_cityscapes(folder, "val", 2)
        assert len(snippets) == 2
        assert snippets[0].label_file == path
        assert (snippets[0].read()[-1][1] == 5).all()
    finally:
        path.unlink()


def test_protocol_equals_streams(folder: Path, model: SegmentationModel) -> None:
    snippets = open_cityscapes(folder, "val", 3)
    result = evaluate_snippets(model, snippets)
    for distance in range(3):
        matrix = ConfusionMatrix(19)
        for snippet in snippets:
            frames = snippet.read()
            stream = VideoSegmenter(model, 20)
            for image, _ in frames[2 - distance :]:
                labels = stream.step(image).labels
            matrix.update(labels, frames[-1][1])
        counted = result.propagated[distance].counts
        # A batch of keyframes rounds a little differently from one.
        assert np.abs(counted - matrix.counts).sum() < 2e-3 * matrix.counts.sum()
        assert result.reliability[distance].counts.sum() == matrix.counts.sum()
    assert result.average_miou(3) == pytest.approx(pooled(list(result.propagated)).miou())
    assert result.minimum_miou(3) == pytest.approx(result.propagated[2].miou())


def test_verb(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights, figures = tmp_path / "random19.safetensors", tmp_path / "figures.json"
    save_model(
        weights,
        build_keyframe_network("swiftnet_r18", 19),
        PropagationNetwork(PropagationConfig(19)),
        ModelInfo("swiftnet_r18", CITYSCAPES, Normalisation.swiftnet()),
    )
    card = tmp_path / "card.md"
    arguments = ["evaluate", "--cityscapes", folder, "--max-interval", 2, "--weights", weights]
    assert main([str(entry) for entry in (*arguments, "--json", figures, "--card", card)]) == 0
    said = json.loads(figures.read_text())
    assert said["frames"] == 2
    assert len(said["average_miou"]) == 2
    assert said["image_size"] == "128x64"
    assert said["streams"] == []
    assert "--cityscapes" in said["command"]
    assert "CamVid" not in card.read_text()


def test_exceptions(folder: Path, model: SegmentationModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        open_cityscapes(folder, "train", 2)
    with pytest.raises(ValueError, match="2 files miss"):
        open_cityscapes(folder, "val", 4)
    with pytest.raises(ValueError, match="1 to 20 frames"):
        open_cityscapes(folder, "val", 21)
    with pytest.raises(ValueError, match="snippets of one length"):
        evaluate_snippets(model, [])
    with pytest.raises(ValueError, match="19 classes"):
        evaluate_snippets(random_model(), open_cityscapes(folder, "val", 2))
    stray = tmp_path / "gtFine" / "val" / "aachen" / "stray_gtFine_labelIds.png"
    stray.parent.mkdir(parents=True)
    stray.touch()
    with pytest.raises(ValueError, match="frame's number"):
        open_cityscapes(tmp_path, "val", 2)
