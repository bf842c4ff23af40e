# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Recorded functions give what the functions give; on a GPU graphs, elsewhere run again."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from models import TinyKeyframeNetwork, moving_images, random_model
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gsvnet_lab.benchmark.device_resident import DeviceStream
from gsvnet_model import CAMVID, ModelInfo, SegmentationModel, VideoSegmenter
from gsvnet_model.images.network_input import Normalisation, image_tensor
from gsvnet_model.networks.keyframe import KEYFRAME_NETWORKS, build_keyframe_network
from gsvnet_model.networks.propagation import (
    PropagationConfig,
    PropagationNetwork,
    PropagationOutput,
)
from gsvnet_model.networks.propagation.inference import PropagationInference
from gsvnet_model.ops.cuda.graphs import _BROKEN, CudaGraphs, Recording, ReplayedFunction, _recorded

CLASSES = CAMVID.num_classes

GPU = torch.device("cuda")

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


class Again:
    """Runs functions again, as a graph does: from the same memory, to the same memory."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.waits = 0
        self._is_taken = False

    def record(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Recording:
        outputs = function(*inputs)
        number = len(self.runs)
        self.runs.append(0)

        def replay() -> None:
            assert self._is_taken
            self.runs[number] += 1
            self.fill(outputs, function(*inputs))

        return Recording(inputs, outputs, replay)

    def fill(self, outputs: Any, results: Any) -> None:
        if isinstance(outputs, Tensor):
            outputs, results = (outputs,), (results,)
        for old, new in zip(outputs, results, strict=True):
            if old is not None:
                old.copy_(new)

    def wait(self) -> None:
        self.waits += 1

    def __enter__(self) -> object:
        assert not self._is_taken
        self._is_taken = True
        return self

    def __exit__(self, *error: object) -> None:
        self._is_taken = False


@pytest.fixture
def recorder() -> Iterator[Again]:
    """A recorder; a function that falls back fails the test unless it expects the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield Again()


def product(first: Tensor, second: Tensor) -> Tensor:
    return first * second + 1


def test_replays_are_what_the_function_says(recorder: Again) -> None:
    replayed = ReplayedFunction(product, recorder)
    for _ in range(3):
        for shape, dtype in (((2, 3), torch.float32), ((4,), torch.float32), ((4,), torch.float64)):
            first, second = torch.randn(2, *shape, dtype=dtype)
            assert torch.equal(replayed(first, second), product(first, second))
    assert recorder.runs == [4, 4, 4]  # one on other values than the caller's


def test_the_recording_reads_its_own_memory_and_callers_keep_their_results(
    recorder: Again,
) -> None:
    read: list[int] = []

    def function(values: Tensor) -> Tensor:
        read.append(values.data_ptr())
        return values  # not even a copy

    replayed = ReplayedFunction(function, recorder)
    values = [torch.full((5,), float(index)) for index in range(4)]
    kept = [replayed(value) for value in values]
    # Plainly once, recorded, and replayed on other values, which are then computed plainly.
    plain, recorded, tried, other, *later = read
    assert plain == values[0].data_ptr()
    assert {tried, *later} == {recorded}
    assert recorded not in [other, *(value.data_ptr() for value in values)]
    for value in values:
        value.zero_()
    assert [float(result[0]) for result in kept] == [0, 1, 2, 3]


def test_members_that_are_none(recorder: Again) -> None:
    class Pair(NamedTuple):
        there: Tensor
        missing: Tensor | None

    replayed = ReplayedFunction(lambda values: Pair(values + 1, None), recorder)
    for value in (1.0, 2.0):
        result = replayed(torch.tensor([value]))
        assert isinstance(result, Pair)
        assert (result.there.tolist(), result.missing) == ([value + 1], None)
    plain = ReplayedFunction(lambda values: (values, None), recorder)(torch.ones(1))
    assert type(plain) is tuple


def test_shapes_not_used_for_longest_go(recorder: Again) -> None:
    replayed = ReplayedFunction(product, recorder, max_shapes=2)

    def call(size: int) -> None:
        values = torch.rand(size)
        assert torch.equal(replayed(values, values), product(values, values))

    for size in (1, 2, 1):
        call(size)
    assert recorder.waits == 0
    call(3)  # in the place of 2
    assert recorder.waits == 1
    call(1)
    assert recorder.runs == [4, 2, 2]
    call(2)
    assert recorder.runs == [4, 2, 2, 2]
    assert recorder.waits == 2


def test_where_recording_fails_the_shape_is_computed_plainly() -> None:
    class Picky(Again):
        def record(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Recording:
            if inputs[0].numel() == 3:
                raise RuntimeError("operation not permitted")
            return super().record(function, inputs)

    recorder = Picky()
    replayed = ReplayedFunction(product, recorder)
    values = torch.rand(3)
    with pytest.warns(RuntimeWarning, match="for inputs of 3, 3: RuntimeError: operation not"):
        assert torch.equal(replayed(values, values), product(values, values))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for shape in ((3,), (1, 3)):  # told once
            values = torch.rand(shape)
            assert torch.equal(replayed(values, values), product(values, values))
    assert not recorder.runs
    values = torch.rand(4)
    for _ in range(2):
        assert torch.equal(replayed(values, values), product(values, values))
    assert recorder.runs == [3]


@pytest.mark.parametrize("wrong", [1.01, float("nan")])
def test_where_a_replay_says_something_else_it_is_not_used(wrong: float) -> None:
    class Wrong(Again):
        def fill(self, outputs: Any, results: Any) -> None:
            super().fill(outputs, results)
            outputs[-1] *= wrong

    recorder = Wrong()
    replayed = ReplayedFunction(product, recorder)
    values = torch.ones(3)
    with pytest.warns(RuntimeWarning, match="a replay gives other results"):
        assert replayed(values, values).tolist() == [2, 2, 2]
    assert replayed(2 * values, values).tolist() == [3, 3, 3]
    assert recorder.runs == [2]


@pytest.mark.parametrize(
    "values",
    [torch.arange(6.0), torch.zeros(6, dtype=torch.uint8)],
    ids=["numbers", "a black picture"],
)
def test_an_empty_recording_is_not_used(values: Tensor) -> None:
    """What it holds from the time of recording is right, as long as the inputs are those."""

    class Empty(Again):
        def record(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Recording:
            return Recording(inputs, function(*inputs), lambda: None)

    replayed = ReplayedFunction(lambda values: values + 1, Empty())
    with pytest.warns(RuntimeWarning, match="a replay gives other results"):
        assert torch.equal(replayed(values), values + 1)
    assert torch.equal(replayed(values + 1), values + 2)


def test_what_a_replay_may_differ_by(recorder: Again) -> None:
    """By rounding; and by nothing from one replay to the next, the first included."""

    class Rounding(Again):
        def fill(self, outputs: Any, results: Any) -> None:
            super().fill(outputs, results * (1 + 1e-4))

    replayed = ReplayedFunction(product, Rounding())
    values = torch.tensor([float("nan"), float("inf"), 1.0, 100.0])
    first, second = replayed(values, values), replayed(values, values)
    assert torch.equal(first.nan_to_num(), second.nan_to_num())
    assert first[3] == 10001 * (1 + 1e-4)


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "broken"])
def test_what_a_recording_that_fails_leaves(ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has ended gives its memory back; a broken one is kept, and ended in its place."""
    done: list[str] = []

    class Graph:
        def pool(self) -> tuple[int, int]:
            if not ended:
                raise RuntimeError("without a preceding successful capture")
            return 0, 1

        def reset(self) -> None:
            done.append("reset")

    @contextlib.contextmanager
    def capture(*_: Any, **__: Any) -> Iterator[None]:
        try:
            yield
        finally:
            if not ended:
                raise RuntimeError("operation not permitted when stream is capturing")

    def out_of_memory() -> Tensor:
        raise torch.OutOfMemoryError("tried to allocate")

    stream = SimpleNamespace(device_index=1)
    monkeypatch.setattr("gsvnet_model.ops.cuda.graphs._BROKEN", kept := list(_BROKEN))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    for name in ("endAllocateToPool", "releasePool"):
        monkeypatch.setattr(
            torch._C, f"_cuda_{name}", lambda *of, name=name: done.append(f"{name}{of}")
        )
    graph = Graph()
    with pytest.raises(RuntimeError, match="tried to allocate" if ended else "not permitted"):
        _recorded(graph, stream, out_of_memory, ())  # type: ignore[arg-type]
    if ended:
        assert (done, kept) == (["reset"], _BROKEN)
    else:
        assert done == ["endAllocateToPool(1, (0, 1))", "releasePool(1, (0, 1))"]
        assert kept == [*_BROKEN, graph]


def test_errors_of_the_function_are_the_callers(recorder: Again) -> None:
    def picky(values: Tensor) -> Tensor:
        if values.ndim != 1:
            raise ValueError("expected one axis")
        return values

    replayed = ReplayedFunction(picky, recorder)
    for _ in range(2):
        with pytest.raises(ValueError, match="expected one axis"):
            replayed(torch.ones(2, 2))
    assert not recorder.runs


def test_threads_share_a_recording(recorder: Again) -> None:
    def slow(values: Tensor) -> Tensor:
        time.sleep(1e-3)
        return values + 1

    replayed = ReplayedFunction(slow, recorder)
    barrier = threading.Barrier(4)

    def work(number: int) -> list[float]:
        barrier.wait()
        values = torch.full((1 + number % 2,), float(number))
        return [float(replayed(values + 10 * turn)[0]) for turn in range(20)]

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(work, range(4)))
    assert results == [[number + 10 * turn + 1 for turn in range(20)] for number in range(4)]
    assert len(recorder.runs) == 2


def streams(count: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return states and images of some streams."""
    return (
        [torch.randn(1, CLASSES, 12, 16) for _ in range(count)],
        [torch.randn(1, 3, 12, 16) for _ in range(count)],
        [torch.randn(1, 3, 12, 16) for _ in range(count)],
    )


@pytest.mark.parametrize("options", [{}, {"use_intra": False, "edge": "none"}], ids=str)
def test_propagation_can_be_recorded(recorder: Again, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = PropagationNetwork(PropagationConfig(CLASSES, **options)).eval()
    plain = PropagationInference(network, torch.float32)
    replayed = ReplayedFunction(plain, recorder)
    for count in (1, 2, 1, 2):
        inputs = [torch.cat(list(parts)) for parts in streams(count)]
        output = replayed(*inputs)
        assert isinstance(output, PropagationOutput)
        for got, expected in zip(output, plain(*inputs), strict=True):
            assert (got is None) == (expected is None)
            assert got is None or expected is None or torch.equal(got, expected)


class TakesNothingFromTheHost(TorchFunctionMode):
    """Fails where values of the host are used; what asks a tensor for a value fails by itself."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor, Tensor.new_tensor), func
        for value in args:
            assert not isinstance(value, Tensor) or value.device.type == "meta", func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in sorted(KEYFRAME_NETWORKS)),
        ("ddrnet23_slim", {"use_intra": False}),
        ("ddrnet23_slim", {"edge": "sigmoid", "kernel_size": 5}),
    ],
    ids=str,
)
def test_a_frame_on_a_device_waits_for_nothing(name: str, options: dict[str, Any]) -> None:
    """Tensors without values take the code paths of a GPU, and nothing can be asked of them."""
    info = ModelInfo(name, CAMVID, Normalisation.swiftnet(), input_scale=0.75)
    device = torch.device("meta")
    with device:
        keyframe = build_keyframe_network(name, CLASSES)
        propagation = PropagationNetwork(PropagationConfig(CLASSES, **options))
    model = SegmentationModel(keyframe, propagation, info, device, torch.float16)
    stream = DeviceStream(model, 2)
    image = torch.empty(1, 100, 131, 3, dtype=torch.uint8, device="meta").permute(0, 3, 1, 2)
    for _ in range(2):
        stream.step(image)
    with TakesNothingFromTheHost():
        for _ in range(2):
            assert stream.step(image).shape == (2, 100, 131)


def test_the_guard_of_the_test_above_guards() -> None:
    image = torch.empty(3, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        bool(image.any())
    with pytest.raises(AssertionError), TakesNothingFromTheHost():
        torch.tensor([1.0], device="meta")
    with pytest.raises(AssertionError), TakesNothingFromTheHost():
        torch.from_numpy(np.ones(3)).to("meta")


def gpu_model(precision: torch.dtype) -> SegmentationModel:
    """Return the model of `random_model` on a GPU."""
    model = random_model()
    torch.manual_seed(0)
    keyframe = TinyKeyframeNetwork(CLASSES)
    propagation = PropagationNetwork(PropagationConfig(CLASSES))
    return SegmentationModel(keyframe, propagation, model.info, GPU, precision)


@on_gpu
@pytest.mark.parametrize("precision", [torch.float32, torch.float16], ids=str)
def test_gpu_graphs_give_what_the_networks_give(recorder: Again, precision: torch.dtype) -> None:
    model = gpu_model(precision)
    plain = PropagationInference(model.propagation, precision)
    images = moving_images(6)
    grids = [model.grid_input(image).normalised for image in images]
    for image in images:
        pixels = image_tensor(image, model.device)
        published = model.segment(pixels)
        normalised = model.info.normalisation.apply(pixels, precision)
        with torch.inference_mode():
            expected = model.keyframe(normalised).float()
        torch.testing.assert_close(published, expected, rtol=1e-3, atol=1e-3)
    state = model.to_grid(published, (12, 16))
    for current, previous in zip(grids[1:], grids, strict=False):
        new = model.propagate(state, current, previous)
        for got, wanted in zip(new, plain(state, current, previous), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)
        state = new.logits


@on_gpu
def test_gpu_function_that_waits_is_computed_plainly() -> None:
    def waits(values: Tensor) -> Tensor:
        return values * values.sum().item()

    replayed = ReplayedFunction(waits, CudaGraphs(GPU))
    values = torch.arange(3.0, device=GPU)
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        assert replayed(values).tolist() == [0, 3, 6]
    assert replayed(values + 1).tolist() == [6, 12, 18]
    # The broken recording leaves stream and memory as they were, and the next one works.
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    used = []
    for _ in range(20):
        large = torch.zeros(1 << 20, device=GPU)
        large.record_stream(beside)
        used.append(large.data_ptr())
        del large
        torch.cuda.synchronize()
    assert len(set(used)) < 20
    torch.cuda.empty_cache()
    good = ReplayedFunction(product, CudaGraphs(GPU))
    for factor in (1, 2):
        assert good(values, factor * values).tolist() == [1, 1 + factor, 1 + 4 * factor]


@on_gpu
def test_gpu_threads_with_streams_of_their_own_share_a_graph(recorder: Again) -> None:
    weights = torch.randn(512, 512, device=GPU)

    def long(values: Tensor) -> Tensor:
        for _ in range(20):
            values = torch.tanh(values @ weights)
        return values

    replayed = ReplayedFunction(long, CudaGraphs(GPU))

    def work(number: int) -> bool:
        with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            values = torch.full((512, 512), 0.01 * number, device=GPU)
            results = [replayed(values + turn) for turn in range(30)]
            close = [
                torch.allclose(result, long(values + turn), atol=1e-3)
                for turn, result in enumerate(results)
            ]
            return all(close)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))


@on_gpu
def test_gpu_labels_are_those_of_the_cpu() -> None:
    here, there = random_model(), gpu_model(torch.float32)
    there.keyframe.load_state_dict(here.keyframe.state_dict())
    on_host, on_device = VideoSegmenter(here, 3), VideoSegmenter(there, 3)
    resident = DeviceStream(there, 3)
    for image in moving_images(6):
        expected, got = on_host.step(image), on_device.step(image)
        labels, confidence = resident.step(image_tensor(image, there.device)).cpu().numpy()
        assert (got.labels == expected.labels).mean() > 0.97  # TensorFloat-32
        assert (labels == got.labels).mean() > 0.99
        assert abs(confidence.astype(int) - got.confidence).mean() < 1
