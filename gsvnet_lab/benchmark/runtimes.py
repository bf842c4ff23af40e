# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The networks in other runtimes beside ours: would a dependency pay?"""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from gsvnet_lab.benchmark.workload import Workload
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.networks.propagation.edge import edge_map
from gsvnet_model.networks.propagation.inference import PropagationInference

Run: TypeAlias = Callable[[], Sequence[Tensor]]
"""Runs a network once on its example inputs; the first output is (1, K, h, w) logits."""


Prepare: TypeAlias = Callable[[nn.Module, tuple[Tensor, ...], torch.dtype], tuple[Run, torch.dtype]]
"""Takes a network, its inputs and the wanted precision; returns a run and its precision."""


@dataclass(frozen=True)
class RuntimeFigures:
    """One network in one runtime.

    Attributes:
        network: name of the part of the computation.
        runtime: name of the runtime, and its precision where that is not the model's.
        missing: command that installs the runtime where it is missing, else "".
        prepare_s: seconds from the network to its first result: export, compilation.
        median_ms: median time of a run.
        speedup: our time / its time, median over repetitions of runs one right after the other.
        agreement: share of the cells of the output that have our label.
    """

    network: str
    runtime: str
    missing: str = ""
    prepare_s: float = 0.0
    median_ms: float = 0.0
    speedup: float = 0.0
    agreement: float = 0.0


@dataclass(frozen=True)
class _Example:
    """A network with inputs.

    Attributes:
        network: name of the network in the tables.
        module: the network, float32, batch normalisation fused.
        inputs: example inputs, float32.
        ours: runs the network as this package does.
    """

    network: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    ours: Run


@dataclass(frozen=True)
class Runtime:
    """One runtime.

    Attributes:
        packages: names of the packages that it needs, for import and on PyPI.
        prepare: makes a network ready to run.
    """

    packages: tuple[str, ...]
    prepare: Prepare


def compare_runtimes(
    workload: Workload, names: Sequence[str], repetitions: int, now: Callable[[], float]
) -> list[RuntimeFigures]:
    """Time the networks of a workload in other runtimes, all in turns.

    Args:
        workload: model and images; on the CPU.
        names: names of runtimes, out of `RUNTIMES`.
        repetitions: number of times that each network runs in each runtime.
        now: returns the time in seconds.

    Raises:
        ValueError: if the workload is on another device.
    """
    model = workload.model()
    if model.device.type != "cpu":
        raise ValueError(f"expected device cpu to compare runtimes, got {model.device}")
    with torch.inference_mode():
        return [
            figures
            for example in _examples(workload, model)
            for figures in _compare(example, names, model.precision, repetitions, now)
        ]


def runtime_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the version of each installed package that the named runtimes need."""
    packages = [package for name in names for package in RUNTIMES[name].packages]
    return {
        package: importlib.metadata.version(package)
        for package in packages
        if importlib.util.find_spec(package)
    }


def _examples(workload: Workload, model: SegmentationModel) -> list[_Example]:
    """Return the keyframe network, the propagation's convolutions, and all of the propagation."""
    info, precision = model.info, model.precision
    before, now = workload.images(2)
    grid = info.grid_size(*workload.size)
    previous, current = (model.grid_input(image).normalised for image in (before, now))
    pixels = image_tensor(before, model.device)
    image = info.keyframe_input(pixels)
    state = model.to_grid(model.segment(pixels), grid)
    keyframe, propagation, _ = workload.networks()
    inference = PropagationInference(propagation, precision)
    convolutions = _Convolutions(propagation)
    edge = edge_map(state.argmax(dim=1), "binary")
    rounded = image.to(precision)
    maps = tuple(
        values.to(precision, memory_format=torch.channels_last)
        for values in (current, previous, edge)
    )
    return [
        _Example(
            "keyframe", fuse_batch_norm(keyframe), (image,), lambda: [model.keyframe(rounded)]
        ),
        _Example(
            "propagation, convolutions",
            fuse_batch_norm(convolutions),
            (current, previous, edge),
            lambda: _our_convolutions(inference, *maps),
        ),
        _Example(
            "propagation",
            fuse_batch_norm(_Step(propagation)),
            (state, current, previous),
            lambda: [model.propagate(state, current, previous).logits],
        ),
    ]


class _Convolutions(nn.Module):
    """Flow, intra network and guide, without what lies between them."""

    def __init__(self, network: PropagationNetwork) -> None:
        super().__init__()
        if network.intra is None or network.config.edge == "none":
            raise ValueError("expected a propagation network with an intra network and edges")
        self.flow, self.intra, self.guide = network.flow, network.intra, network.guide

    def forward(self, current: Tensor, previous: Tensor, edge: Tensor) -> tuple[Tensor, ...]:
        """Return intra logits, flow and mixing weights."""
        logits = self.intra(current)
        mixing = self.guide(torch.cat((logits, edge), dim=1))
        return logits, self.flow(current, previous), mixing


def _our_convolutions(
    inference: PropagationInference, current: Tensor, previous: Tensor, edge: Tensor
) -> tuple[Tensor, ...]:
    """Return what `_Convolutions` returns, but for the sum that the scores are divided by."""
    assert inference.intra is not None  # `_Convolutions` has checked
    cues = inference.intra(current)
    cues[:, -1:] = edge
    return cues[:, :-1], inference.flow(current, previous), inference.scores(cues)


class _Step(nn.Module):
    """The whole propagation, for runtimes that want tensors from a network."""

    def __init__(self, network: PropagationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: Tensor, current: Tensor, previous: Tensor) -> tuple[Tensor]:
        """Return the new state."""
        return (self.network(state, current, previous).logits,)


def _compare(
    example: _Example,
    names: Sequence[str],
    precision: torch.dtype,
    repetitions: int,
    now: Callable[[], float],
) -> list[RuntimeFigures]:
    """Return the figures of one network in all runtimes, ours first."""
    runs, prepare_s, missing = {"ours": example.ours}, {"ours": 0.0}, []
    for name in names:
        how_to_get = _missing(name)
        if how_to_get:
            missing.append(RuntimeFigures(example.network, name, how_to_get))
            continue
        started = time.perf_counter()
        run, has = RUNTIMES[name].prepare(example.module, example.inputs, precision)
        label = name if has == precision else f"{name}, {str(has).removeprefix('torch.')}"
        run()
        runs[label], prepare_s[label] = run, time.perf_counter() - started
    labels = {name: run()[0].argmax(dim=1) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            started = now()
            run()
            times[name].append(1e3 * (now() - started))
    figures = [
        RuntimeFigures(
            example.network,
            name,
            prepare_s=prepare_s[name],
            median_ms=float(np.median(times[name])),
            speedup=float(np.median(np.divide(times["ours"], times[name]))),
            agreement=(labels[name] == labels["ours"]).double().mean().item(),
        )
        for name in runs
    ]
    return figures + missing


def _missing(name: str) -> str:
    """Return the command that installs what a runtime lacks, or "" if it lacks nothing."""
    if name == "torch.compile" and not shutil.which(os.environ.get("CXX", "g++")):
        return "a C++ compiler: apt install g++"
    packages = [name for name in RUNTIMES[name].packages if not importlib.util.find_spec(name)]
    return f"pip install {' '.join(packages)}" if packages else ""


def _with_compile(
    module: nn.Module, inputs: tuple[Tensor, ...], precision: torch.dtype
) -> tuple[Run, torch.dtype]:
    # The state of a whole propagation stays float32, as it does with us.
    mixed = isinstance(module, _Step) and precision != torch.float32
    if not mixed:
        module = copy.deepcopy(module).to(precision)
        inputs = tuple(values.to(precision, memory_format=torch.channels_last) for values in inputs)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = torch.compile(module, options={"freezing": True})

    def run() -> Sequence[Tensor]:
        with torch.autocast("cpu", precision, enabled=mixed):
            outputs = network(*inputs)
        return outputs if isinstance(outputs, tuple) else [outputs]

    return run, precision


def _with_onnxruntime(
    module: nn.Module, inputs: tuple[Tensor, ...], precision: torch.dtype
) -> tuple[Run, torch.dtype]:
    """Prepare ONNX Runtime, whose convolutions on a CPU are float32."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(module, inputs, path, dynamo=True, verbose=False)
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    arrays = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    return lambda: [torch.from_numpy(v) for v in session.run(None, arrays)], torch.float32


def _with_openvino(
    module: nn.Module, inputs: tuple[Tensor, ...], precision: torch.dtype
) -> tuple[Run, torch.dtype]:
    runtime: Any = importlib.import_module("openvino")
    exported = runtime.convert_model(torch.export.export(module, inputs), example_input=inputs)
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = runtime.Core().compile_model(exported, "CPU", settings).create_infer_request()
    arrays = [value.numpy() for value in inputs]

    def run() -> Sequence[Tensor]:
        outputs = request.infer(arrays, share_inputs=True, share_outputs=True)
        return [torch.from_numpy(value) for value in outputs.values()]

    return run, precision


RUNTIMES: dict[str, Runtime] = {
    "torch.compile": Runtime((), _with_compile),
    "onnxruntime": Runtime(("onnxruntime", "onnx", "onnxscript"), _with_onnxruntime),
    "openvino": Runtime(("openvino",), _with_openvino),
}
