# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet combine`: keyframes of one file, propagation of another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from models import moving_images

from gsvnet_lab.cli import main
from gsvnet_model import CAMVID, ModelInfo, SegmentationModel, VideoSegmenter
from gsvnet_model.checkpoint import load_model, read_networks, save_model
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.scheduling.quality import QualityModel

KEYFRAMES = ModelInfo(
    "swiftnet_r18",
    CAMVID,
    Normalisation.swiftnet(),
    0.8,
    propagation_trained=False,
    command="one",
)
CARRIES = dataclasses.replace(
    KEYFRAMES,
    keyframe_network="ddrnet23_slim",
    propagation_trained=True,
    input_scale=1.0,
    grid_filter="centred",
    quality=QualityModel(linear={"flow": 2.0}),
    temperature_slope=-0.01,
    metrics={"miou": 99.0},
    command="other",
)


def write(path: Path, info: ModelInfo, seed: int) -> Path:
    torch.manual_seed(seed)
    num_classes = info.classes.num_classes
    keyframe = build_keyframe_network(info.keyframe_network, num_classes)
    save_model(path, keyframe, PropagationNetwork(PropagationConfig(num_classes)), info)
    return path


def test_takes_each_network_from_its_file(tmp_path: Path) -> None:
    keyframes = write(tmp_path / "keyframes.safetensors", KEYFRAMES, 0)
    carries = write(tmp_path / "carries.safetensors", CARRIES, 1)
    output = tmp_path / "both.safetensors"
    assert main(["combine", str(keyframes), str(carries), str(output)]) == 0
    keyframe, propagation, info = read_networks(output)
    assert info == dataclasses.replace(  # propagation_trained too
        CARRIES,
        keyframe_network="swiftnet_r18",
        input_scale=0.8,
        metrics={},
        command="one; gsvnet combine keyframes.safetensors carries.safetensors",
    )
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = read_networks(keyframes)[0].eval()(image)
        torch.testing.assert_close(keyframe.eval()(image), expected, rtol=0.01, atol=0.01)
    for name, value in read_networks(carries)[1].state_dict().items():
        torch.testing.assert_close(propagation.state_dict()[name], value, rtol=1e-3, atol=1e-3)
    model = load_model(output, "cpu", "float32")
    assert isinstance(model, SegmentationModel)
    stream = VideoSegmenter(model, 3)
    steps = [stream.step(view) for view in moving_images(3)]
    assert [step.keyframe_age for step in steps] == [0, 1, 2]
    assert all(np.isin(step.labels, range(11)).all() for step in steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalisation": Normalisation.imagenet()}, "the same normalisation"),
        ({"classes": dataclasses.replace(CAMVID, names=("a", *CAMVID.names[1:]))}, "same classes"),
    ],
)
def test_what_does_not_fit(
    tmp_path: Path,
    change: dict[str, object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keyframes = write(tmp_path / "a.safetensors", KEYFRAMES, 0)
    carries = write(tmp_path / "b.safetensors", dataclasses.replace(CARRIES, **change), 1)  # type: ignore[arg-type]
    assert main(["combine", str(keyframes), str(carries), str(tmp_path / "c")]) == 2
    assert message in capsys.readouterr().err
