# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Networks on a GPU replayed from a recording: one launch in place of a hundred."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

Output = TypeVar("Output", bound="Tensor | tuple[Tensor | None, ...]")

_WARM_UPS = 2
"""Runs before a recording, in which libraries choose their algorithms and fetch their memory."""

_TOLERANCE = 1e-3
"""Largest difference between a replay and the plain call, shares of the largest value: the
rounding of float16; of whole numbers the share that may differ. A replay as a rule runs the same
kernels and differs by nothing."""

_BROKEN: list[torch.cuda.CUDAGraph] = []
"""Recordings that never ended: PyTorch's allocator of page-locked memory goes on asking them."""

_FIRST_USE = threading.Lock()
"""Only one recording may be under way in a process, and what another thread sets up for its own
first use had better stay out of it."""


@dataclass(frozen=True)
class Recording:
    """A run of a function that can be repeated.

    Attributes:
        inputs: memory that a replay reads.
        outputs: what the function returned; every replay fills it anew.
        replay: queues the run again.
    """

    inputs: Sequence[Tensor]
    outputs: Any
    replay: Callable[[], None]


class Recorder(Protocol):
    """Records one function for any number of shapes.

    Entered as a context, the memory of its recordings belongs to the work that the caller's
    stream is given there.
    """

    def record(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Recording:
        """Record the function on the memory of these inputs."""

    def wait(self) -> None:
        """Wait until nobody uses the memory of the recordings."""

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> None: ...


class CudaGraphs:
    """Records a function on a GPU, one CUDA graph for each shape.

    The graphs of one recorder run one after the other, whatever the streams: some libraries give
    all recordings the same working memory.

    Args:
        device: the GPU.
        priority: priority of the replayed work, lower numbers first; a graph keeps the priority of
            the stream on which it was recorded.
    """

    def __init__(self, device: torch.device, priority: int = 0) -> None:
        self._device = device
        self._priority = priority
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def record(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Recording:
        """Record a function.

        Args:
            function: queues work on the current stream, the same for every content of its inputs,
                and waits for nothing.
            inputs: on the GPU.

        Raises:
            RuntimeError: if something in the function cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        here, beside = (
            torch.cuda.current_stream(self._device),
            _recording_stream(self._device, self._priority),
        )
        beside.wait_stream(here)
        # The outer context also restores the stream where ending a broken recording raises.
        with torch.cuda.device(self._device), torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                function(*inputs)
            outputs = _recorded(graph, beside, function, inputs)
        here.wait_stream(beside)
        return Recording(inputs, outputs, graph.replay)

    def wait(self) -> None:
        """Wait until nobody uses the memory of the recordings."""
        self._done.synchronize()

    def __enter__(self) -> object:
        torch.cuda.current_stream(self._device).wait_event(self._done)
        return self

    def __exit__(self, *error: object) -> None:
        self._done.record(torch.cuda.current_stream(self._device))


class ReplayedFunction(Generic[Output]):
    """A function of tensors, recorded once for every shape of its inputs and then replayed.

    At its first use a shape is computed both ways, for the inputs and for other values. Where
    recording fails or a replay gives other results, a warning says so once and that shape is
    computed plainly from then on.

    Threads may share it, each with a CUDA stream of its own or not.

    Args:
        function: from tensors to a tensor or a tuple of tensors and None; see `CudaGraphs`.
        recorder: records this function and no other one.
        max_shapes: recordings that are kept, each with the memory of a run; beyond that number
            the recordings go that were not used for longest.
    """

    def __init__(
        self, function: Callable[..., Output], recorder: Recorder, max_shapes: int = 16
    ) -> None:
        self._function = function
        self._recorder = recorder
        self._max_shapes = max_shapes
        self._lock = threading.Lock()
        self._recordings: OrderedDict[_Shapes, Recording | None] = OrderedDict()
        self._has_warned = False

    # Everywhere: memory made in this mode can be written to in this mode only.
    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Output:
        """Return what the function returns; the tensors are the caller's own."""
        shapes = tuple((values.shape, values.dtype) for values in inputs)
        with self._lock:
            if shapes not in self._recordings:
                return self._first_use(shapes, inputs)
            self._recordings.move_to_end(shapes)
            recording = self._recordings[shapes]
            if recording is not None:
                return self._replayed(recording, inputs)
        return self._function(*inputs)

    def _first_use(self, shapes: _Shapes, inputs: Sequence[Tensor]) -> Output:
        with _FIRST_USE:
            output = self._function(*inputs)
            recording = None
            try:
                buffers = [torch.empty_like(values).copy_(values) for values in inputs]
                recording = self._recorder.record(self._function, buffers)
                # What was recorded incompletely, or not at all, holds the right results already.
                others = [_other(values) for values in inputs]
                agrees = _agree(self._replayed(recording, others), self._function(*others))
                replayed = self._replayed(recording, inputs)
                agrees = agrees and _agree(replayed, output)
                fault = "" if agrees else "a replay gives other results"
            # Whatever a GPU comes up with costs time and no labels.
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
        if fault:
            recording = None
            self._warn(shapes, fault)
        else:
            output = replayed  # as from now on, to the last bit
        self._recordings[shapes] = recording
        if len(self._recordings) > self._max_shapes:
            self._recorder.wait()
            self._recordings.popitem(last=False)
        return output

    def _replayed(self, recording: Recording, inputs: Sequence[Tensor]) -> Output:
        """Return copies of the outputs: callers keep them while the next replay is running."""
        with self._recorder:
            for buffer, values in zip(recording.inputs, inputs, strict=True):
                buffer.copy_(values)
            recording.replay()
            return _copied(recording.outputs)  # type: ignore[no-any-return]

    def _warn(self, shapes: _Shapes, fault: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            sizes = ", ".join("x".join(map(str, shape)) for shape, _ in shapes)
            warnings.warn(
                f"computed without a CUDA graph, more slowly, for inputs of {sizes}: {fault}",
                RuntimeWarning,
                stacklevel=2,
            )


_Shapes: TypeAlias = tuple[tuple[torch.Size, torch.dtype], ...]


def _other(values: Tensor) -> Tensor:
    """Return other values that a function may be given as well, of the same layout.

    A picture is inverted, because the first one of a camera may be black all over; anything else
    is mirrored, which keeps it within the range that it has.
    """
    return ~values if values.dtype == torch.uint8 else values.flip(-1)


def _members(output: Output) -> Sequence[Tensor | None]:
    return (output,) if isinstance(output, Tensor) else output


def _copied(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.clone()
    copies = (None if value is None else value.clone() for value in output)
    return getattr(type(output), "_make", tuple)(copies)  # _make: a NamedTuple's constructor


def _agree(replayed: Output, plain: Output) -> bool:
    return all(
        a is b if a is None or b is None else _are_close(a, b)
        for a, b in zip(_members(replayed), _members(plain), strict=True)
    )


def _are_close(values: Tensor, expected: Tensor) -> bool:
    if not expected.is_floating_point():  # labels: rounding decides at ties
        return float((values != expected).float().mean()) <= _TOLERANCE
    largest = expected.nan_to_num(posinf=0, neginf=0).abs().max().item()
    return values.shape == expected.shape and torch.allclose(
        values, expected, rtol=0, atol=_TOLERANCE * largest, equal_nan=True
    )


def _recorded(
    graph: torch.cuda.CUDAGraph,
    stream: torch.cuda.Stream,
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
) -> Any:
    """Record a function on the current device; return its outputs, which a replay fills."""
    pool = torch.cuda.graph_pool_handle()
    try:
        # Other threads go on with their streams meanwhile.
        with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
            return function(*inputs)
    except BaseException:
        if _has_ended(graph):  # the function failed, and the recording as such did not
            graph.reset()  # gives its memory back
            raise
        _BROKEN.append(graph)
        # What a broken recording leaves undone: PyTorch would think that it goes on, and never
        # again hand out memory that was used on two streams.
        with contextlib.suppress(RuntimeError):
            torch._C._cuda_endAllocateToPool(stream.device_index, pool)
            torch._C._cuda_releasePool(stream.device_index, pool)
        raise


def _has_ended(graph: torch.cuda.CUDAGraph) -> bool:
    """Return whether a recording came to its end, the only state in which a graph names a pool."""
    try:
        graph.pool()
    except RuntimeError:
        return False
    return True


# One for all recordings: streams are dealt out of a pool in turns, and a stream that other code got
# as well would record that code's work too.
@functools.cache
def _recording_stream(device: torch.device, priority: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]
