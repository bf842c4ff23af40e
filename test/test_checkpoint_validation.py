# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights files from anyone: what makes no sense is refused in a sentence, before it costs much."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models import TinyKeyframeNetwork
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gsvnet_lab.fitting.store import store_metrics, store_quality, store_temperatures
from gsvnet_model import CAMVID, ClassTable, ModelInfo, load_model, save_model
from gsvnet_model.checkpoint import read_networks
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe import KEYFRAME_NETWORKS
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.scheduling.quality import QualityModel

Metadata = dict[str, Any]

NAN, INFINITY = float("nan"), float("inf")
INFO = ModelInfo("tiny", CAMVID, Normalisation.imagenet(), temperatures=(1.1, 1.5))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a registered network of one's own."""
    monkeypatch.setitem(KEYFRAME_NETWORKS, "tiny", TinyKeyframeNetwork)
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_model(path, TinyKeyframeNetwork(11), PropagationNetwork(PropagationConfig(11)), INFO)
    return path


def metadata_of(path: Path) -> Metadata:
    with safe_open(path, "pt") as file:
        content: Metadata = json.loads(file.metadata()["gsvnet"])
    return content


def rewrite(path: Path, metadata: str | Metadata, **changed: Tensor) -> None:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    tensors = {**load_file(path), **changed}
    save_file(tensors, path, {"gsvnet": text})


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as error:
        load_model(path, "cpu")
    text = str(error.value)
    assert len(text) < 500, text
    assert text.isprintable(), text
    return text.removeprefix(f"{path}: ")


def set_at(place: str, value: object) -> Callable[[Metadata], None]:
    """Return a function that puts a value at a place such as `info.classes.names.3`."""

    def change(metadata: Metadata) -> None:
        *parents, last = place.split(".")
        inner: Any = metadata
        for name in parents:
            inner = inner[int(name) if name.isdigit() else name]
        inner[int(last) if last.isdigit() else last] = value

    return change


def without(place: str) -> Callable[[Metadata], None]:
    def change(metadata: Metadata) -> None:
        *parents, last = place.split(".")
        inner = metadata
        for name in parents:
            inner = inner[name]
        del inner[last]

    return change


LONG = "x" * 100_000
FORGED = "car\n[ERROR] [1] [safety]: stop\x1b[31m"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("info.classes.names.3", 7), "names[3]: expected a printable name"),
        (set_at("info.classes.names.3", None), "names[3]: expected a printable name"),
        (set_at("info.classes.names.3", FORGED), r"got 'car\n[ERROR]"),
        (set_at("info.classes.names.3", LONG), "of at most 128 characters"),
        (set_at("info.classes.names.3", "\ud800"), "names[3]: expected a printable name"),
        (set_at("info.classes.names.3", " road"), "without spaces around"),
        (set_at("info.classes.names.3", ""), "names[3]: expected a printable name"),
        (set_at("info.classes.names.3", "sky"), "every class name once, got 'sky'"),
        (set_at("info.classes.names", "sky"), "expected a list"),
        (set_at("info.classes.names", ["a"] * 100_000), "a list of at most 254 values"),
        (set_at("info.classes.palette.0", [1, 2]), "RGB triples"),
        (set_at("info.classes.palette.0", [1, 2, 256]), "RGB triples"),
        (set_at("info.classes.palette.0", [1, 2, 0.5]), "expected a whole number, got 0.5"),
        (set_at("info.classes.palette.0", 3), "palette[0]: expected a list"),
        (set_at("info.classes", [1]), "metadata.info.classes: expected a mapping"),
        (without("info.classes.palette"), "expected 'palette', which is missing"),
        (set_at("info.normalisation.mean.1", NAN), "mean[1]: expected a finite number"),
        (set_at("info.normalisation.std.1", INFINITY), "std[1]: expected a finite number"),
        (set_at("info.normalisation.std.1", 1e-9), "deviation"),
        (set_at("info.normalisation.mean.1", 1e30), "mean"),
        (set_at("info.normalisation.mean", [1, 2]), "three numbers"),
        (set_at("info.normalisation.mean.0", True), "expected a finite number, got True"),
        (set_at("info.temperatures", [NAN]), "temperatures[0]: expected a finite number"),
        (set_at("info.temperatures", []), "one temperature or more"),
        (set_at("info.temperatures", [1e-300]), "temperature of 0.01 to 100"),
        (set_at("info.temperatures", [1.0] * 2000), "at most 1000 values"),
        (set_at("info.temperature_slope", 1000), "temperature slope of -1 to 1"),
        (set_at("info.class_bias", [NAN] * 11), "class_bias[0]: expected a finite number"),
        (set_at("info.class_bias", [1e30] * 11), "logit adjustment of -100 to 100"),
        (set_at("info.class_bias", [0.0]), "logit adjustment of 11 values"),
        (set_at("info.quality", {"cut_bias": NAN}), "cut_bias: expected a finite number"),
        (set_at("info.quality", {"linear": {"flow": -1.0}}), "0 or more"),
        (set_at("info.quality", {"root": {"flow": INFINITY}}), "expected a finite number"),
        (set_at("info.quality", {"cut": {"nothing": 1.0}}), "expected signals out of"),
        (set_at("info.quality", {"cut": {FORGED: 1.0}}), "expected a printable name"),
        (set_at("info.quality", {LONG: 1.0}), "expected keys out of"),
        (set_at("info.quality", 3), "quality: expected a mapping"),
        (set_at("info.metrics", {"miou": NAN}), "expected a finite number"),
        (set_at("info.metrics", {str(i): 1.0 for i in range(2000)}), "at most 1000 values"),
        (set_at("info.command", ["gsvnet"]), "command: expected a text"),
        (set_at("info.command", LONG), "at most 20000 characters"),
        (set_at("info.keyframe_network", ["tiny"]), "expected a printable name"),
        (set_at("info.keyframe_network", {}), "expected a printable name"),
        (set_at("info.keyframe_network", "resnet"), "keyframe network out of"),
        (without("info.keyframe_network"), "expected 'keyframe_network', which is missing"),
        (set_at("info.surplus", 1), "expected keys out of"),
        (set_at("info.input_scale", "1"), "input_scale: expected a finite number"),
        (set_at("info.input_scale", NAN), "input_scale: expected a finite number"),
        (set_at("info.max_input_pixels", 0.5), "expected a whole number"),
        (set_at("info.input_stride", 10**9), "input stride of 1 to 1024"),
        (set_at("info.grid_filter", [LONG]), "expected a printable name"),
        (set_at("info.grid_stride", [8]), "expected a whole number"),
        (set_at("info", []), "metadata.info: expected a mapping, got []"),
        (without("info"), "expected 'info', which is missing"),
        (set_at("propagation.intra_channels", 12_000), "at most 1024, got 12000"),
        (set_at("propagation.intra_channels", 0), "whole number >= 1"),
        (set_at("propagation.num_classes", 10), "propagation network of 11 classes, got 10"),
        (set_at("propagation.kernel_size", [3]), "expected a whole number"),
        (set_at("propagation.edge", LONG), "expected a printable name"),
        (set_at("propagation.learned_kernels", 1), "expected true or false, got 1"),
        (set_at("propagation", None), "metadata.propagation: expected a mapping, got None"),
        (set_at("version", 2), "expected version 1, got 2"),
        (set_at("version", LONG), "expected a whole number"),
    ],
)
def test_odd_metadata_is_refused(
    weights: Path, change: Callable[[Metadata], None], message: str
) -> None:
    metadata = metadata_of(weights)
    change(metadata)
    rewrite(weights, metadata)
    assert message in refusal(weights)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '"info"', "[" * 200_000, '{"a":' * 200_000, "9" * 100_000, "{" + LONG],
    ids=["empty", "list", "null", "text", "nested lists", "nested mappings", "number", "no JSON"],
)
def test_other_metadata_is_refused(weights: Path, text: str) -> None:
    rewrite(weights, text)
    assert refusal(weights).startswith("metadata: expected")


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("name", ["keyframe.conv.weight", "propagation.guide.head.conv.weight"])
def test_tensors_that_are_not_finite(weights: Path, name: str, value: float) -> None:
    tensor = load_file(weights)[name]
    tensor.view(-1)[-1] = value
    rewrite(weights, metadata_of(weights), **{name: tensor})
    assert refusal(weights).startswith(f"{name}: expected finite values")


def test_variances_below_zero(weights: Path) -> None:
    """Folded into a convolution they make it NaN."""
    name = "propagation.guide.head.norm.running_var"
    rewrite(weights, metadata_of(weights), **{name: -load_file(weights)[name]})
    assert refusal(weights).startswith(f"{name}: expected variances of 0 or more")


def test_large_values_are_finite(weights: Path) -> None:
    """Their sum is not."""
    name = "keyframe.conv.weight"
    rewrite(weights, metadata_of(weights), **{name: torch.full((11, 3, 7, 7), 3e38)})
    assert read_networks(weights)[0].state_dict()["conv.weight"][0, 0, 0, 0] == 3e38


def test_tensors_of_another_kind(weights: Path) -> None:
    name = "keyframe.conv.weight"
    rewrite(weights, metadata_of(weights), **{name: torch.zeros(11, 3, 7, 7, dtype=torch.int8)})
    assert refusal(weights).startswith(f"{name}: expected torch.float32 or alike, got torch.int8")


def test_names_of_foreign_tensors_are_cut(weights: Path) -> None:
    surplus = {f"{index}{FORGED}{LONG}": torch.zeros(1) for index in range(30)}
    rewrite(weights, metadata_of(weights), **surplus)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_model(weights, "cpu")
    text = str(error.value)
    assert text.isprintable()
    assert text.endswith("; and 20 more")
    assert all(len(part) < 300 for part in text.split("; "))


def write_sparse(path: Path, name: str, num_bytes: int) -> None:
    """Make one tensor of a file a large one of zeros that take no room on the disk."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    entries[name] |= {"dtype": "U8", "shape": [num_bytes], "data_offsets": [0, num_bytes]}
    end = 0
    for key, entry in entries.items():
        if key != "__metadata__":
            begin, old_end = entry["data_offsets"]
            entry["data_offsets"] = [end, end + old_end - begin]
            end += old_end - begin
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + end)


@pytest.mark.parametrize(
    ("num_bytes", "message"),
    [(1 << 30, r"expected shape \(11, 3, 7, 7\)"), (100 << 30, "of at most 2147483648 bytes")],
)
def test_sparse_files_are_not_read(weights: Path, num_bytes: int, message: str) -> None:
    write_sparse(weights, "keyframe.conv.weight", num_bytes)
    with pytest.raises(ValueError, match=message):
        load_model(weights, "cpu")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 100,
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 3 << 20) + b"[" * (3 << 20),
        struct.pack("<Q", 5 << 20) + b" " * (5 << 20),
    ],
    ids=["empty", "short", "ones", "promised", "nested", "long"],
)
def test_headers_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    assert "expected a readable safetensors file" in refusal(path)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.safetensors"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, Path("/dev/zero")):
        assert "expected a weights file, found none" in refusal(path)


def test_paths_may_be_texts(weights: Path) -> None:
    assert read_networks(str(weights))[2] == INFO


def test_what_would_not_be_loaded_is_not_written(weights: Path) -> None:
    before = weights.read_bytes()
    with pytest.raises(ValueError, match="temperatures"):
        store_temperatures(weights, [1.0, NAN])
    with pytest.raises(ValueError, match="miou"):
        store_metrics(weights, {"miou": NAN})
    with pytest.raises(ValueError, match="cut_bias"):
        store_quality(weights, QualityModel(cut_bias=INFINITY), 0.0)
    keyframe, propagation, info = read_networks(weights)
    diverged, large = copy.deepcopy(keyframe), copy.deepcopy(keyframe)
    torch.nn.init.constant_(diverged.get_parameter("conv.bias"), NAN)
    torch.nn.init.constant_(large.get_parameter("conv.bias"), 1e6)
    with pytest.raises(ValueError, match="expected finite values"):
        save_model(weights, diverged, propagation, info)
    with pytest.raises(ValueError, match="expected finite values"):
        save_model(weights, large, propagation, info, torch.float16)
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"normalisation": Normalisation((NAN, 0.0, 0.0), (1.0, 1.0, 1.0))},
        {"temperatures": (NAN,)},
        {"temperature_slope": NAN},
        {"logit_adjustment": (INFINITY,) * 11},
        {"quality": QualityModel(cut={"flow": NAN})},
        {"input_scale": NAN},
    ],
)
def test_info_is_finite(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a"):
        dataclasses.replace(INFO, **change)


@pytest.mark.parametrize("names", [("a", "a"), ("a", 3), ("a", "b\n"), ("a", ""), ("a", "x" * 129)])
def test_class_names(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ClassTable(names, ((0, 0, 0), (1, 1, 1)))
