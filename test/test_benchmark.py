# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The benchmark: a baseline that computes the same, a workload as it says, and the command."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from models import random_model
from numpy.typing import NDArray
from torch import nn

from gsvnet_lab.benchmark import memory, runtimes
from gsvnet_lab.benchmark.device_resident import DeviceStream, time_device_resident
from gsvnet_lab.benchmark.released_arrangement import ReleasedArrangement
from gsvnet_lab.benchmark.report import WorkloadFigures, report
from gsvnet_lab.benchmark.timing import FrameFigures, boundary_share
from gsvnet_lab.benchmark.workload import Workload
from gsvnet_lab.cli import benchmark, main
from gsvnet_lab.data.on_grid import image_on_grid
from gsvnet_lab.fitting.store import store_logit_adjustment
from gsvnet_model import VideoSegmenter
from gsvnet_model.checkpoint import read_networks, save_model
from gsvnet_model.images.grid import GridFilter, grid_image
from gsvnet_model.images.network_input import image_tensor


def images(count: int, height: int = 96, width: int = 128) -> list[NDArray[np.uint8]]:
    """Return smooth images that move."""
    coarse = np.random.default_rng(0).integers(0, 255, (12, 40, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (width + 2 * count, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + width]) for i in range(count)]


def test_the_baseline_labels_as_the_stream_does() -> None:
    """Same weights, same arithmetic: what differs is how it is arranged."""
    model = random_model(grid_filter="bilinear")
    released = ReleasedArrangement(model.keyframe, model.propagation, model.info, model.device)
    stream = VideoSegmenter(model, 3)
    frames = images(3)
    keyframe_labels, _ = released.step(frames[0])
    released.reset()
    for index, image in enumerate(frames):
        labels, confidence = released.step(image)
        step = stream.step(image)
        assert labels.dtype == confidence.dtype == np.uint8
        if index:  # keyframes are released from the grid there
            assert (labels == step.labels).mean() > 0.99
            close = np.abs(confidence.astype(int) - step.confidence) < 24
            assert close.mean() > 0.95
    released.reset()
    assert np.array_equal(released.step(frames[0])[0], keyframe_labels)


@pytest.mark.parametrize("bias", [(), tuple(float(index) for index in range(11))], ids=len)
def test_more_classes_keep_the_label_map(
    weights_path: Path, tmp_path: Path, bias: tuple[float, ...]
) -> None:
    image = images(1)[0]
    weights = tmp_path / "weights.safetensors"
    shutil.copy(weights_path, weights)
    store_logit_adjustment(weights, bias, "")

    def logits(num_classes: int) -> torch.Tensor:
        workload = Workload((96, 128), num_classes, 1.0, weights, "cpu", "float32")
        model = workload.model()
        state = model.to_grid(model.segment(image_tensor(image, model.device)), (12, 16))
        small = torch.randn(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
        return torch.stack((state, model.propagate(state, small, small).intra_logits))  # type: ignore[arg-type]

    narrow, wide = logits(11), logits(19)
    torch.testing.assert_close(wide[:, :, :11], narrow, rtol=0, atol=1e-4)
    torch.testing.assert_close(wide[:, :, 11:], narrow[:, :, :8] - 4, rtol=0, atol=1e-4)


def test_scale_is_chosen_or_that_of_the_weights(weights_path: Path, tmp_path: Path) -> None:
    keyframe, propagation, info = read_networks(weights_path)
    info = dataclasses.replace(info, input_scale=1.5, max_input_pixels=9000)
    weights = tmp_path / "weights.safetensors"
    save_model(weights, keyframe, propagation, info)
    for scale, expected in ((0.0, (1.5, 9000)), (0.75, (0.75, 0))):
        _, _, own = Workload((96, 128), 11, scale, weights, "cpu", "float32").networks()
        assert (own.input_scale, own.max_input_pixels) == expected


def test_fewer_classes_than_the_weights_have(weights_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 11 classes or more"):
        Workload((96, 128), 10, 1.0, weights_path, "cpu", "float32").model()


def test_boundary_share() -> None:
    labels = np.zeros((33, 33), np.uint8)
    assert boundary_share(labels, 8) == 0
    labels[:, 16:] = 1
    assert boundary_share(labels, 8) == pytest.approx(1 / 4)


@pytest.mark.parametrize("grid_filter", ["centred", "area", "bilinear"])
@pytest.mark.parametrize("size", [(96, 128), (101, 131), (17, 200)])
def test_images_come_to_the_grid_as_on_the_host(
    grid_filter: GridFilter, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    there = image_on_grid(image_tensor(image, torch.device("cpu")), 8, grid_filter)
    here = grid_image(image, 8, grid_filter).astype(np.float32)
    difference = np.abs(there[0].permute(1, 2, 0).numpy() - here)
    if grid_filter != "bilinear":  # halves are rounded either way
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02
    else:
        assert difference.max() < 1e-3


@pytest.mark.parametrize("interval", [1, 3])
def test_a_stream_on_the_device_labels_as_the_stream_does(interval: int) -> None:
    model = random_model(temperatures=(1.0, 3.0, 1.5))
    stream = VideoSegmenter(model, interval, temporal_blending=0)
    resident = DeviceStream(model, interval)
    for image in images(6):
        step = stream.step(image)
        labels, confidence = resident.step(image_tensor(image, model.device)).numpy()
        assert (labels == step.labels).mean() > 0.999
        assert np.abs(confidence.astype(int) - step.confidence).mean() < 0.1


def test_times_on_the_device() -> None:
    frames = images(3)
    figures = time_device_resident(random_model(), frames, [3], repetitions=2)
    assert set(figures.frames_per_s) == {1, 3}
    assert figures.frames["keyframe"].samples == 2
    assert figures.frames["propagated"].samples == 4
    keyframe, propagated = (figures.frames[kind] for kind in ("keyframe", "propagated"))
    assert 0 < keyframe.median_ms <= keyframe.p95_ms
    timing = FrameFigures({}, {}, {}, {}, {}, 0.0)
    result = WorkloadFigures("128x96", 11, 1.0, timing, figures, [], None, [])
    table = [line.split(" | ") for line in report([result]).splitlines() if "128x96" in line]
    assert [row[1] for row in table] == ["keyframe", "propagated", "interval 1", "interval 3"]
    assert table[1][2] == f"{propagated.median_ms:.3f}"
    assert table[3][4] == f"{figures.frames_per_s[3]:.1f} |"


def test_command(
    weights_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "figures.json"
    arguments = ["benchmark", "--quick", "--weights", str(weights_path), "--json", str(path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| propagated |" in printed
    figures = json.loads(path.read_text())
    assert figures["machine"]["torch"] == torch.__version__
    (result,) = figures["results"]
    assert set(result["timing"]["frames"]) == {
        "keyframe",
        "propagated",
        "released keyframe",
        "released propagated",
    }
    assert result["timing"]["frames"]["propagated"]["samples"] == 2
    assert set(result["timing"]["stage_ms"]["keyframe"]) == {"prepare", "network", "labels"}
    assert result["timing"]["throughput_ratio"]["1"] == 1
    assert set(result["timing"]["speedup"]) == {"keyframe", "propagated"}
    assert [entry["streams"] for entry in result["streams"]] == [2]
    assert result["memory"]["peak_mb"] > 0
    assert (result["device_resident"] is None) == (not torch.cuda.is_available())


def test_runtimes(weights_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that computes as the networks say, one that does not, and one that is not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def prepared(sign: int) -> runtimes.Prepare:
        def prepare(
            module: nn.Module, inputs: tuple[torch.Tensor, ...], precision: torch.dtype
        ) -> tuple[runtimes.Run, torch.dtype]:
            def run() -> list[torch.Tensor]:
                outputs = module(*inputs)
                outputs = outputs if isinstance(outputs, tuple) else (outputs,)
                return [sign * output for output in outputs]

            return run, precision

        return prepare

    kinds = {
        "right": runtimes.Runtime((), prepared(1)),
        "wrong": runtimes.Runtime((), prepared(-1)),
        "absent": runtimes.Runtime(("no_such_package", "json"), prepared(1)),
    }
    monkeypatch.setattr(runtimes, "RUNTIMES", kinds)
    workload = Workload((96, 128), 11, 0.75, weights_path, "cpu", "float32")
    figures = runtimes.compare_runtimes(workload, list(kinds), 1, time.process_time)
    assert [entry.network for entry in figures[::4]] == [
        "keyframe",
        "propagation, convolutions",
        "propagation",
    ]
    for ours, right, wrong, absent in zip(*[iter(figures)] * 4, strict=True):
        assert (ours.runtime, ours.speedup, ours.agreement) == ("ours", 1.0, 1.0)
        assert right.agreement > 0.99
        assert wrong.agreement < 0.5
        assert min(ours.median_ms, right.median_ms, wrong.median_ms) > 0
        assert absent == runtimes.RuntimeFigures(
            ours.network, "absent", "pip install no_such_package"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--intervals", "0"], "intervals of 1 or more"),
        (["--streams", "0"], "streams of 1 or more"),
        (["--repetitions", "0"], "at least one repetition"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_runtimes_on_a_gpu_are_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "choose_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(benchmark, "_measure", lambda *_: pytest.fail("measured"))
    assert main(["benchmark", "--runtimes", "openvino"]) == 2
    assert "expected device cpu to compare runtimes, got cuda:0" in capsys.readouterr().err


def test_memory_on_a_gpu_is_what_torch_holds_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached before and not counted; what a stream comes to hold is, in a tensor or not."""
    device = torch.device("cuda", 1)
    reserved = {"now": 9e6, "peak": 20e6}

    class Model:
        def __init__(self) -> None:
            self.device = device

    class Stream:
        def __init__(self, model: Model, interval: int) -> None:
            self.frames = 0

        def step(self, image: object) -> None:
            self.frames += 1
            if self.frames in (1, 2, 12):
                reserved["now"] += 1e6
                reserved["peak"] = max(reserved.values())

    class Two:
        def model(self) -> Model:
            return Model()

        def images(self, count: int) -> list[None]:
            return [None] * count

    def of(key: str) -> object:
        def read(asked: torch.device | None = None) -> float:
            assert asked == device
            return reserved[key]

        return read

    def reset(asked: torch.device | None = None) -> None:
        assert asked == device
        reserved["peak"] = reserved["now"]

    monkeypatch.setattr(memory, "VideoSegmenter", Stream)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: reserved.update(now=5e6))
    monkeypatch.setattr(torch.cuda, "memory_reserved", of("now"))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", of("peak"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    figures = memory._measure(Two(), 2, torch.get_num_threads())  # type: ignore[arg-type]
    assert figures == memory.MemoryFigures(peak_mb=3.0, growth_mb=1.0)
