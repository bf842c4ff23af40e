# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights on disk: everything comes back, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch
from models import TinyKeyframeNetwork, random_model
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from gsvnet_lab.fitting.store import store_metrics
from gsvnet_model import CAMVID, ModelInfo, SegmentationModel, load_model, save_model
from gsvnet_model.checkpoint import default_weights, read_networks
from gsvnet_model.hardware import device
from gsvnet_model.hardware.device import choose_device
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe import KEYFRAME_NETWORKS
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.scheduling.quality import QualityModel


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a registered network of one's own."""
    monkeypatch.setitem(KEYFRAME_NETWORKS, "tiny", TinyKeyframeNetwork)
    torch.manual_seed(0)
    info = ModelInfo(
        "tiny",
        CAMVID,
        Normalisation.imagenet(),
        input_scale=0.75,
        max_input_pixels=1000,
        input_stride=8,
        grid_stride=4,
        grid_filter="bilinear",
        temperatures=(1.1, 1.5),
        quality=QualityModel({"changed": 2.0}, {"flow": 0.5}, {"residual": 1.0}, -3.0),
        metrics={"miou": 61.5},
        command="gsvnet train",
    )
    config = PropagationConfig(11, kernel_size=5, learned_kernels=True)
    path = tmp_path / "tiny.safetensors"
    save_model(path, TinyKeyframeNetwork(11), PropagationNetwork(config), info)
    return path


def rewrite(path: Path, change: str, tensor: torch.Tensor | None) -> None:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors.pop(change, None)
    if tensor is not None:
        tensors[change] = tensor
    save_file(tensors, path, metadata)


def test_round_trip(weights: Path) -> None:
    keyframe, propagation, info = read_networks(weights)
    again = weights.with_name("again.safetensors")
    save_model(again, keyframe, propagation, info)
    other_keyframe, other_propagation, other_info = read_networks(again)
    assert other_info == info
    assert info.metrics == {"miou": 61.5}
    assert info.grid_stride == 4
    assert propagation.config == other_propagation.config
    for network, other in ((keyframe, other_keyframe), (propagation, other_propagation)):
        for name, value in network.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_float16_halves_the_file(weights: Path) -> None:
    keyframe, propagation, info = read_networks(weights)
    half = weights.with_name("half.safetensors")
    save_model(half, keyframe, propagation, info, torch.float16)
    assert half.stat().st_size < 0.55 * weights.stat().st_size
    weight = read_networks(half)[0].state_dict()["conv.weight"]
    assert weight.dtype == torch.float32
    assert torch.allclose(weight, keyframe.state_dict()["conv.weight"], rtol=1e-3, atol=1e-6)


def test_stored_metrics_leave_the_tensors_alone(weights: Path) -> None:
    keyframe = read_networks(weights)[0]
    store_metrics(weights, {"average_miou_interval_1": 70.5})
    again, _, info = read_networks(weights)
    assert info.metrics == {"average_miou_interval_1": 70.5}
    assert torch.equal(again.state_dict()["conv.weight"], keyframe.state_dict()["conv.weight"])


def test_every_difference_is_named(weights: Path) -> None:
    rewrite(weights, "keyframe.conv.bias", None)
    rewrite(weights, "keyframe.surplus", torch.zeros(1))
    rewrite(weights, "keyframe.conv.weight", torch.zeros(11, 3, 5, 5))
    with pytest.raises(ValueError, match="do not fit") as error:
        load_model(weights)
    text = str(error.value)
    assert "missing keyframe.conv.bias" in text
    assert "unexpected keyframe.surplus" in text
    assert "keyframe.conv.weight: expected shape (11, 3, 7, 7), got (11, 3, 5, 5)" in text


def test_files_that_are_no_weights(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        load_model(tmp_path / "missing.safetensors")
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="readable safetensors"):
        load_model(truncated)
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(pickle.dumps({"state_dict": 1}))
    with pytest.raises(ValueError, match="readable safetensors"):
        load_model(pickled)
    plain = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(1)}, plain)
    with pytest.raises(ValueError, match="gsvnet import"):
        load_model(plain)


@pytest.mark.parametrize("damage", ["version", "info", "propagation"])
def test_incomplete_metadata(weights: Path, damage: str) -> None:
    with safe_open(weights, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = json.loads(file.metadata()["gsvnet"])
    metadata[damage] = 99 if damage == "version" else {}
    save_file(tensors, weights, {"gsvnet": json.dumps(metadata)})
    with pytest.raises(ValueError, match="metadata"):
        load_model(weights)


def test_unknown_network(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KEYFRAME_NETWORKS, "tiny")
    with pytest.raises(ValueError, match="keyframe network out of"):
        load_model(weights)


def test_device_and_precision_guards(weights: Path) -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        load_model(weights, device="tpu")
    with pytest.raises(ValueError, match="precision"):
        load_model(weights, device="cpu", precision="float8")
    with pytest.raises(ValueError, match="CPU"):
        load_model(weights, device="cpu", precision="float16")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="GPU"):
            load_model(weights, device="cuda")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, as far as they are asked; this thread uses the second."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)


@pytest.mark.usefixtures("gpus")
def test_a_gpu_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsvnet_model.hardware.device._compute_on", lambda device: None)
    for name, number in (("auto", 1), ("cuda", 1), ("cuda:0", 0)):
        assert choose_device(name) == torch.device("cuda", number)
    with pytest.raises(ValueError, match="expected a GPU for 'cuda:2', found 2"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("gpus")
def test_a_gpu_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken unasked, and who asks for it is told why."""

    def too_old(device: torch.device) -> None:
        raise RuntimeError("CUDA error: no kernel image is available\nCompile with ...")

    monkeypatch.setattr("gsvnet_model.hardware.device._compute_on", too_old)
    why = "computes on, got cuda:1: CUDA error: no kernel image is available; use device cpu$"
    with pytest.warns(RuntimeWarning, match=f"computed on the CPU: .*{why}"):
        assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match=why):
        choose_device("cuda")


@pytest.mark.usefixtures("gpus")
def test_a_model_has_the_number_of_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    asked: list[torch.device] = []

    def moved(network: nn.Module, device: torch.device, *_: object) -> nn.Module:
        asked.append(device)
        raise NotImplementedError  # no GPU is here

    monkeypatch.setattr(nn.Module, "to", moved)
    with pytest.raises(NotImplementedError):
        SegmentationModel(model.keyframe, model.propagation, model.info, torch.device("cuda"))
    assert asked == [torch.device("cuda", 1)]


def test_input_scale_can_be_chosen(weights: Path) -> None:
    assert load_model(weights, "cpu").info.input_scale == 0.75
    chosen = load_model(weights, "cpu", input_scale=0.5).info
    assert (chosen.input_scale, chosen.max_input_pixels) == (0.5, 0)
    with pytest.raises(ValueError, match="input scale"):
        load_model(weights, "cpu", input_scale=3.0)


@pytest.mark.parametrize(
    ("scale", "limit", "size", "stride"),
    [
        (1.0, 0, (360, 480), 8),
        (0.75, 0, (1024, 2048), 8),
        # As many cells as in 640x480, whatever the size and the scale.
        (1.0, 640 * 480, (360, 480), 6),
        (4 / 3, 640 * 480, (360, 480), 6),
        (4 / 3, 640 * 480, (480, 640), 8),
        (1.0, 640 * 480, (720, 1280), 14),
        (1.0, 640 * 480, (1080, 1920), 20),
        (1.0, 640 * 480, (120, 160), 4),
        (1.1, 0, (360, 480), 8),  # the nearest even number
        (4 / 3, 0, (360, 480), 6),  # 8 pixels of a keyframe input of 480x640
        (2.0, 0, (360, 480), 4),
    ],
)
def test_cells_follow_what_keyframes_see(
    scale: float, limit: int, size: tuple[int, int], stride: int
) -> None:
    info = ModelInfo(
        "tiny",
        CAMVID,
        Normalisation.swiftnet(),
        scale,
        max_input_pixels=limit,
        grid_filter="centred",
    )
    assert info.grid_stride_of(*size) == stride
    rows, columns = ((side - 1 + stride // 2) // stride + 1 for side in size)
    assert info.grid_size(*size) == (rows, columns)


def test_input_size_follows_the_image_up_to_a_limit() -> None:
    info = ModelInfo("tiny", CAMVID, Normalisation.swiftnet())
    assert info.input_size(1080, 1920) == (1080, 1920)
    limited = dataclasses.replace(info, max_input_pixels=640 * 480, input_stride=8)
    assert limited.input_size(360, 480) == (361, 481)
    for height, width in ((480, 640), (960, 1280)):
        assert limited.input_size(height, width) == (481, 641)
    wide, high = limited.input_size(1080, 1920), limited.input_size(1920, 1080)
    assert wide == (417, 737)
    assert high == wide[::-1]
    larger = dataclasses.replace(limited, input_scale=2.0)
    assert larger.input_size(60, 80) == (121, 161)
    assert larger.input_size(360, 480) == (481, 641)
    assert larger.at_scale(0.5).input_size(1080, 1920) == (537, 961)


def test_info_guards() -> None:
    info = ModelInfo("tiny", CAMVID, Normalisation.swiftnet())
    for wrong in (
        {"input_scale": 0.0},
        {"input_stride": 0},
        {"max_input_pixels": -1},
        {"grid_stride": 7},
        {"grid_filter": "cubic"},
    ):
        with pytest.raises(ValueError, match="expected"):
            dataclasses.replace(info, **wrong)


def test_shipped_weights_load() -> None:
    model = load_model(device="cpu")
    assert model.info.classes == CAMVID
    assert model.info.metrics
    assert default_weights().stat().st_size < 30e6


def test_a_file_that_cannot_be_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    keyframe, propagation, info = read_networks(weights)
    with pytest.raises(ValueError, match="weights file that can be written"):
        save_model(tmp_path / "file" / "weights.safetensors", keyframe, propagation, info)
    new = tmp_path / "new" / "weights.safetensors"
    save_model(new, keyframe, propagation, info)
    before = new.read_bytes()

    written = Path.write_bytes

    def cut(path: Path, content: bytes) -> None:
        written(path, content[: len(content) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(ValueError, match="no space left"):
        store_metrics(new, {"average_miou_interval_1": 60.0})
    assert new.read_bytes() == before
    assert read_networks(tmp_path / "new" / "weights.safetensors")[2] == info


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fpu avx512f avx512_bf16 amx_tile", "bfloat16"), ("fpu avx2", "float32"), (None, "float32")],
)
def test_older_torch_leaves_it_to_the_kernel_to_tell_of_the_processor(
    flags: str | None, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    told = tmp_path / "cpuinfo"
    if flags:
        told.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t:\n")
    monkeypatch.setattr(device, "CPU_INFO", told)
    found = device.choose_precision("auto", torch.device("cpu"))
    assert found == getattr(torch, precision)
