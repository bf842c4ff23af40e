# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Every backend of every operation computes what its reference does.

Backends: the compiled loop on the CPU; the kernel for GPUs, run by Triton's interpreter; and what
a GPU makes of the front door, where there is one. A case is named for its size, classes and
memory layout.
"""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.propagation.kernels import ideal_delay_kernels
from gsvnet_model.ops import average, labels, mix, normalise, warp
from gsvnet_model.ops.average import average_reference, average_whole_pixels
from gsvnet_model.ops.changed_cells import changed_cells, changed_cells_reference
from gsvnet_model.ops.labels import labels_and_confidence, labels_on_device, labels_reference
from gsvnet_model.ops.mix import mix_reference
from gsvnet_model.ops.normalise import normalise_reference
from gsvnet_model.ops.signals import StepFields, signals_reference, step_signals
from gsvnet_model.ops.upsampled_convolution import UpsampledConvolution
from gsvnet_model.ops.warp import warp_state, warp_state_reference

Outputs = Sequence[Tensor]
Arguments = tuple[Any, ...]

CLASSES = (2, 19)
GRIDS = ((2, 2), (7, 9), (13, 37))


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        cases: arguments by name.
        reference: computes the expected outputs.
        front_door: computes them by the device of the arguments.
        check: fails if outputs (first) are not the expected ones (second); has the arguments.
        kernel: "module.function" of the Triton kernel, below `gsvnet_model.ops.cuda`.
        kernel_only: cases in a dtype that only a GPU's kernel takes.
    """

    cases: dict[str, Arguments]
    reference: Callable[..., Outputs]
    front_door: Callable[..., Outputs]
    check: Callable[[Outputs, Outputs, Arguments], None]
    kernel: str = ""
    kernel_only: frozenset[str] = frozenset()


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=_RANDOM)


_RANDOM = torch.Generator().manual_seed(0)


def channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last)


def close(atol: float, rtol: float = 0.0) -> Callable[[Outputs, Outputs, Arguments], None]:
    """Return a check that allows for rounding."""

    def check(got: Outputs, expected: Outputs, _: Arguments) -> None:
        for value, wanted in zip(got, expected, strict=True):
            torch.testing.assert_close(value, wanted, atol=atol, rtol=rtol)

    return check


def one(function: Callable[..., Any]) -> Callable[..., Outputs]:
    """Return a function whose only output stands in a tuple, as a tensor."""
    return lambda *arguments: (torch.as_tensor(function(*arguments)),)


def warp_cases() -> dict[str, Arguments]:
    cases: dict[str, Arguments] = {}
    for grid, classes, (batch, radius) in itertools.product(GRIDS, CLASSES, ((1, 1), (2, 2))):
        logits, image = random(batch, classes, *grid), random(batch, 3, *grid)
        # Up to several cells, over every border as well.
        flow = 2 * random(batch, 2, *grid)
        cases[f"{grid}, {classes} classes, batch {batch}"] = (logits, image, flow, radius)
    strided = tuple(map(channels_last, (random(1, 19, 7, 9), random(1, 3, 7, 9))))
    cases["channels last"] = (*strided, channels_last(random(1, 2, 7, 9)), 0)
    return cases


def check_warp(got: Outputs, expected: Outputs, arguments: Arguments) -> None:
    # The reference brings coordinates to -1..1 and back, which rounds them.
    for value, wanted in zip(got[:2], expected[:2], strict=True):
        torch.testing.assert_close(value, wanted, atol=5e-4, rtol=0)
    logits, radius = expected[0], arguments[3]
    height, width = expected[2].shape[1:]
    inside = logits[..., radius : radius + height, radius : radius + width]
    highest = inside.amax(1) - inside.gather(1, got[2][:, None].long())[:, 0]
    assert got[2].dtype == torch.int32
    assert highest.max() < 1e-3  # another class only where both tie but for rounding


def mix_cases() -> tuple[dict[str, Arguments], frozenset[str]]:
    cases: dict[str, Arguments] = {}
    halves = set()
    every = list(itertools.product((3, 5), CLASSES, (1, 2), (True, False)))
    # Triton's interpreter takes its time: every dtype once, and one of them throughout.
    dtypes = [(*every[4], dtype) for dtype in (torch.float32, torch.float16)]
    for size, classes, batch, has_intra, dtype in [
        *((*choice, torch.bfloat16) for choice in every),
        *dtypes,
    ]:
        bank = ideal_delay_kernels(size)
        bank = bank + 0.1 * random(*bank.shape)  # as if learned
        grid = (2, 37)
        padded = F.pad(random(batch, classes, *grid), (size // 2,) * 4)
        slots = 1 + len(bank) + has_intra
        scores = channels_last(torch.relu(random(batch, slots, *grid)).to(dtype))
        scores[:, :, 0, 0] = 0  # nothing to go by
        cues = channels_last(random(batch, classes + 1, *grid).to(dtype)) if has_intra else None
        name = f"{size}x{size}, {classes} classes, batch {batch}, intra {has_intra}, {dtype}"
        cases[name] = (padded, cues, scores, bank)
        if dtype == torch.float16:
            halves.add(name)
    return cases, frozenset(halves)


def labels_cases() -> dict[str, Arguments]:
    sizes = [
        ((4, 6), (9, 48)),
        ((3, 40), (5, 313)),
        ((8, 8), (5, 3)),
        ((1, 1), (2, 5)),
        ((2, 3), (1, 1)),
        ((6, 5), (6, 5)),
    ]
    cases: dict[str, Arguments] = {}
    for (grid, size), classes in itertools.product(sizes, (1, *CLASSES)):
        logits = 3 * random(classes, *grid)
        cases[f"{grid} to {size}, {classes} classes"] = (logits, logits.softmax(0), *size)
    logits = torch.zeros(3, 4, 4)
    logits[1] = 1.0
    logits[2, 0, 0] = float("nan")
    cases["a NaN"] = (logits, logits.softmax(0), 4, 4)
    return cases


def labels_front_door(values: Tensor, _: Tensor, height: int, width: int) -> Outputs:
    if values.is_cuda:
        return tuple(labels_on_device(values, height, width))
    return tuple(map(torch.from_numpy, labels_and_confidence(values, height, width)))


def labelled_plainly(*arguments: Any) -> Outputs:
    return tuple(labels_reference(*arguments))


def check_labels(got: Outputs, expected: Outputs, arguments: Arguments) -> None:
    logits, _, *size = arguments
    assert all(value.shape == tuple(size) and value.dtype == torch.uint8 for value in got)
    full = F.interpolate(logits[None], size, mode="bilinear", align_corners=True)[0]
    lead = full.gather(0, expected[0][None].long()) - full.gather(0, got[0][None].long())
    assert lead.nan_to_num(0).abs().max() < 1e-5  # another class only where both tie
    same = got[0] == expected[0]
    assert (got[1].int() - expected[1].int())[same].abs().max() <= 1
    if logits.isnan().any():
        assert got[1][0, 0] == 0 and (got[0][2:, 2:] == 1).all()
    else:
        assert same.float().mean() > 0.999


def changed_cells_cases() -> dict[str, Arguments]:
    cases: dict[str, Arguments] = {}
    for grid, batch in itertools.product((*GRIDS, (2, 9), (9, 2)), (1, 3)):
        before = random(batch, 3, *grid)
        changes = 0.3 * (torch.rand(batch, 1, *grid, generator=_RANDOM) < 0.1)
        now = before + changes + random(batch, 3, 1, 1)
        cases[f"{grid}, batch {batch}"] = (now, before)
        cases[f"{grid}, batch {batch}, channels last"] = (channels_last(now), before)
    return cases


def signals_cases() -> dict[str, Arguments]:
    cases: dict[str, Arguments] = {}
    for grid, classes in itertools.product((*GRIDS, (70, 130)), CLASSES):
        cases[f"{grid}, {classes} classes"] = (
            StepFields(
                current=channels_last(random(2, 3, *grid)),
                previous=random(2, 3, *grid),
                warped_previous=random(2, 3, *grid),
                flow=2 * random(2, 2, *grid),
                previous_logits=3 * random(2, classes, *grid),
                warped_labels=torch.randint(0, classes, (2, 1, *grid), generator=_RANDOM).int(),
                logits=3 * random(2, classes, *grid),
                moving=torch.rand(2, 1, *grid, generator=_RANDOM) < 0.7,
            ),
        )
    return cases


def upsampled_cases() -> dict[str, Arguments]:
    cases: dict[str, Arguments] = {}
    for grid, size in (((4, 5), (7, 9)), ((4, 5), (8, 10)), ((4, 5), (1, 1)), ((7, 3), (13, 5))):
        for added in (None, channels_last(random(2, 5, *size))):
            conv = nn.Conv2d(6, 5, 3, padding=1).requires_grad_(False)
            cases[f"{grid} to {size}, adds {added is not None}"] = (
                conv,
                random(2, 6, *grid),
                size,
                added,
            )
    return cases


def upsampled(conv: nn.Module, *arguments: Any, plainly: bool) -> Outputs:
    made = UpsampledConvolution(conv)
    return (made.reference(*arguments) if plainly else made(*arguments),)


def normalise_cases() -> dict[str, Arguments]:
    cases: dict[str, Arguments] = {}
    constants = (73.15, 82.90, 72.3), (47.67, 48.49, 47.73)
    for (height, width), size, batch in itertools.product(
        ((50, 71), (1, 9), (9, 1)), ((50, 71), (33, 107), (1, 1)), (1, 2)
    ):
        shape = (batch, height, width + 5, 3)
        wide = torch.randint(0, 256, shape, generator=_RANDOM, dtype=torch.uint8)
        padded = wide[:, :, :width].permute(0, 3, 1, 2)  # rows as in an image message
        cases[f"{width}x{height} to {size[1]}x{size[0]}, batch {batch}"] = (
            padded.contiguous(memory_format=torch.channels_last),
            size,
            *constants,
        )
        cases[f"{width}x{height} to {size[1]}x{size[0]}, batch {batch}, padded rows"] = (
            padded,
            size,
            *constants,
        )
    return cases


def average_cases() -> dict[str, Arguments]:
    cases: dict[str, Arguments] = {}
    for height, width in ((121, 83), (12, 22), (3, 200)):
        wide = torch.randint(
            0, 256, (height, width + 9, 3), generator=_RANDOM, dtype=torch.uint8
        ).numpy()
        edges = tuple((0, *range(1, side - 1, 4), side) for side in (height, width))
        views = {
            "": np.ascontiguousarray(wide[:, :width]),
            "padded rows": wide[:, 4 : 4 + width],
            "upside down": wide[::-1, :width],
            "mirrored": wide[:, :width][:, ::-1],
            "channels reversed": wide[:, :width, ::-1],
        }
        cases |= {f"{width}x{height} {name}": (view, *edges) for name, view in views.items()}
    return cases


def average_front_door(image: Any, *edges: tuple[int, ...]) -> Outputs:
    rows, columns = (np.array(ends, np.uint64) for ends in edges)
    return (torch.from_numpy(average_whole_pixels(image, rows, columns)).float(),)


def averaged_plainly(image: Any, *edges: tuple[int, ...]) -> Outputs:
    values = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    return (average_reference(values, *edges)[0].permute(1, 2, 0),)


_MIX_CASES, _HALVES = mix_cases()

OPERATIONS = {
    "warp": Operation(warp_cases(), warp_state_reference, warp_state, check_warp),
    "mix": Operation(_MIX_CASES, mix_reference, mix.mix, close(1e-5, 1e-5), "mix.mix", _HALVES),
    "labels": Operation(
        labels_cases(), labelled_plainly, labels_front_door, check_labels, "labels.label_pixels"
    ),
    "changed cells": Operation(
        changed_cells_cases(), one(changed_cells_reference), one(changed_cells), close(0)
    ),
    "signals": Operation(
        signals_cases(), one(signals_reference), one(step_signals), close(1e-6, 1e-4)
    ),
    "upsampled convolution": Operation(
        upsampled_cases(),
        partial(upsampled, plainly=True),
        partial(upsampled, plainly=False),
        close(1e-5),
    ),
    "normalise": Operation(
        normalise_cases(), one(normalise_reference), one(normalise.normalise), close(1e-5)
    ),
    # Rounded to whole grey levels, of halves to the even one.
    "average": Operation(average_cases(), averaged_plainly, average_front_door, close(0.5001)),
}

CASES = [
    pytest.param(operation, case, id=f"{operation}: {case}")
    for operation, made in OPERATIONS.items()
    for case in made.cases
]
KERNEL_CASES = [each for each in CASES if OPERATIONS[str(each.values[0])].kernel]
LOOP_CASES = [
    each for each in CASES if each.values[1] not in OPERATIONS[str(each.values[0])].kernel_only
]


def expected(operation: str, case: str) -> Outputs:
    made = OPERATIONS[operation]
    return made.reference(*made.cases[case])


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even small maps be shared between threads."""
    for module, name in (
        (warp, "_CELLS_PER_THREAD"),
        (mix, "_CELLS_PER_THREAD"),
        (labels, "_PIXELS_PER_THREAD"),
        (normalise, "_PIXELS_PER_THREAD"),
        (average, "_PIXELS_PER_THREAD"),
    ):
        monkeypatch.setattr(module, name, 16)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("operation", "case"), LOOP_CASES)
def test_compiled_loop(operation: str, case: str, threads: int) -> None:
    made = OPERATIONS[operation]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = made.front_door(*made.cases[case])
    finally:
        torch.set_num_threads(before)
    made.check(got, expected(operation, case), made.cases[case])


# In a process of its own, because Triton decides on import whether it interprets.
_INTERPRET = """
import importlib, pickle, sys
with open(sys.argv[1], "rb") as file:
    calls = pickle.load(file)
results = {}
for key, (kernel, arguments) in calls.items():
    module, _, function = kernel.partition(".")
    run = getattr(importlib.import_module(f"gsvnet_model.ops.cuda.{module}"), function)
    results[key] = tuple(run(*arguments))
with open(sys.argv[1], "wb") as file:
    pickle.dump(results, file)
"""


@pytest.fixture(scope="session")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outputs]:
    """What all kernels give for all cases, by Triton's interpreter."""
    pytest.importorskip("triton")
    path: Path = tmp_path_factory.mktemp("kernels") / "cases.pickle"
    calls = {
        (name, case): (made.kernel, arguments)
        for name, made in OPERATIONS.items()
        if made.kernel
        for case, arguments in made.cases.items()
    }
    path.write_bytes(pickle.dumps(calls))
    done = subprocess.run(
        [sys.executable, "-c", _INTERPRET, str(path)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results: dict[tuple[str, str], Outputs] = pickle.loads(path.read_bytes())
    return results


@pytest.mark.parametrize(("operation", "case"), KERNEL_CASES)
def test_interpreted_kernel(
    operation: str, case: str, interpreted: dict[tuple[str, str], Outputs]
) -> None:
    made = OPERATIONS[operation]
    made.check(interpreted[operation, case], expected(operation, case), made.cases[case])


def moved(value: Any) -> Any:
    """Return a value where a GPU has it."""
    if isinstance(value, StepFields):
        return StepFields(*map(moved, value))
    if isinstance(value, nn.Module):
        return copy.deepcopy(value).to("cuda")
    return value.to("cuda") if isinstance(value, Tensor) else value


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("operation", "case"), CASES)
def test_gpu(operation: str, case: str) -> None:
    made = OPERATIONS[operation]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # a kernel that is not used
        got = made.front_door(*map(moved, made.cases[case]))
    on_host = [value.cpu() for value in got]
    made.check(on_host, expected(operation, case), made.cases[case])
