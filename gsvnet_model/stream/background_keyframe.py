# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Asynchronous keyframes: labelled in a thread of their own, then merged into the stream.

The stream goes on with propagated frames and never waits. Meanwhile it tells the keyframe which
frames it has gone on to; the finished keyframe is propagated through the same frames and, once it
has caught up, takes the place of the stream's state. A keyframe that takes too long is given up by
the stream, see `gsvnet_model.stream.segmenter.MAX_FRAMES_BEHIND`.

See: Li et al., "Low-Latency Video Semantic Segmentation" (their low-latency mode).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gsvnet_model.images.grid import GridImage
from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.state import (
    PropagatedState,
    StreamState,
    decode_labels,
    keyframe_state,
    propagate_states,
)

_NICE = 10
"""Niceness of the thread: propagated frames go first, the keyframe takes what is left."""


class KeyframeWorker:
    """Labels the keyframes of any number of streams in a thread of its own, one after the other.

    Args:
        model: the weights, the same as those of the streams.
        threads: processor threads that the networks use; None takes as many as torch does.
    """

    def __init__(self, model: SegmentationModel, threads: int | None = None) -> None:
        self._model = model
        threads = threads or torch.get_num_threads()
        self._pool = ThreadPoolExecutor(1, "keyframes", initializer=_give_way, initargs=(threads,))
        self._device_stream: AbstractContextManager[object] = nullcontext()
        if model.device.type == "cuda":
            self._device_stream = torch.cuda.stream(_keyframe_stream(model.device))

    def start(
        self,
        image: NDArray[np.uint8],
        on_grid: GridImage,
        propagated: PropagatedState,
        temporal_blending: float,
    ) -> BackgroundKeyframe:
        """Begin to label a frame.

        Args:
            image: (H, W, 3) uint8 RGB; copied.
            on_grid: the image on the grid.
            propagated: the state that the stream propagated to this frame.
            temporal_blending: share of the logits that is taken from the propagated state.
        """
        return BackgroundKeyframe(
            self._model, image.copy(), on_grid, propagated, temporal_blending, self._submit
        )

    def close(self) -> None:
        """Finish the frame at hand and end the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, work: Callable[[], None]) -> None:
        def run() -> None:
            with self._device_stream:
                work()

        self._pool.submit(run)


# One device stream for all workers: torch deals streams out of a pool in turns, and a stream that
# somebody else got as well would take part in their recordings.
@functools.cache
def _keyframe_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _give_way(threads: int) -> None:
    """Let this thread, and those that it starts, run where the streams leave a processor."""
    if sys.platform == "linux":  # elsewhere priorities are of processes
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Arrived:
    """A grid image, and the moment from which a device's other streams can read it."""

    image: GridImage
    ready: torch.cuda.Event | None


class BackgroundKeyframe:
    """One keyframe on its way into a stream; made by `KeyframeWorker.start`.

    Attributes:
        milliseconds: what the keyframe has cost so far.
        num_followed: frames that the stream has gone on to since the keyframe began.
    """

    def __init__(
        self,
        model: SegmentationModel,
        image: NDArray[np.uint8],
        on_grid: GridImage,
        propagated: PropagatedState,
        temporal_blending: float,
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self.milliseconds = 0.0
        self.num_followed = 0
        self._model = model
        self._submit = submit
        self._lock = threading.Lock()
        self._ahead: deque[_Arrived] = deque()
        self._caught_up: StreamState | None = None
        self._cancelled = False
        self._error: Exception | None = None
        first = self._arrived(on_grid)
        submit(
            lambda: self._work(lambda: self._segment(image, first, propagated, temporal_blending))
        )

    def follow(self, on_grid: GridImage) -> None:
        """Take note that the stream goes on to this frame.

        Args:
            on_grid: the frame on the grid.
        """
        self.num_followed += 1
        arrived = self._arrived(on_grid)
        with self._lock:
            self._ahead.append(arrived)
            state, self._caught_up = self._caught_up, None
        if state is not None:
            behind = state
            self._submit(lambda: self._work(lambda: behind))

    def caught_up(self) -> StreamState | None:
        """Return the state at the frame that was followed last; None while it is not there yet.

        Raises:
            RuntimeError: if the networks failed, from what they raised.
        """
        with self._lock:
            if self._error is not None:
                raise RuntimeError(
                    f"the background keyframe failed: {self._error}"
                ) from self._error
            state = self._caught_up
        if state is not None and self._model.device.type == "cuda":
            for tensor in (state.logits, state.reference, state.flow):
                if tensor is not None:
                    tensor.record_stream(torch.cuda.current_stream(self._model.device))
        return state

    def cancel(self) -> None:
        """Give the keyframe up; the work at hand ends soon."""
        with self._lock:
            self._cancelled = True

    def _arrived(self, on_grid: GridImage) -> _Arrived:
        ready = None
        if self._model.device.type == "cuda":
            ready = torch.cuda.current_stream(self._model.device).record_event()
        return _Arrived(on_grid, ready)

    def _work(self, begin: Callable[[], StreamState]) -> None:
        """Catch up with the stream from where `begin` says, in the worker's thread."""
        if self._cancelled:
            return
        try:
            started = time.perf_counter()
            state: StreamState | None = begin()
            while state is not None:
                # Not under the lock: the stream would wait for the device as well. And counted
                # before the stream may take the state, which then knows what it has cost.
                _finish(self._model)
                self.milliseconds += 1e3 * (time.perf_counter() - started)
                started = time.perf_counter()
                state = self._propagate_once(state)
        # Told to the stream, whose thread can do something about it.
        except Exception as error:
            with self._lock:
                self._error = error

    def _segment(
        self,
        image: NDArray[np.uint8],
        first: _Arrived,
        propagated: PropagatedState,
        temporal_blending: float,
    ) -> StreamState:
        _wait_for(first, propagated.logits)
        logits, state = keyframe_state(
            self._model, image, first.image, propagated, temporal_blending
        )
        # As long as nothing moves, these are finer than what the grid holds.
        decoded = decode_labels(self._model, logits, state.size, state.quality)
        return dataclasses.replace(state, decoded=decoded)

    def _propagate_once(self, state: StreamState) -> StreamState | None:
        """Return the state one frame later; None if there is no later frame or no use for it."""
        with self._lock:
            if self._cancelled:
                return None
            if not self._ahead:
                self._caught_up = state
                return None
            arrived = self._ahead.popleft()
        _wait_for(arrived)
        (propagated,) = propagate_states(self._model, [state], [arrived.image])
        return state.followed_by(propagated, arrived.image)


def _wait_for(arrived: _Arrived, *others: Tensor) -> None:
    """Let this thread's stream go on when the image, and what came with it, can be read."""
    if arrived.ready is not None:
        own = torch.cuda.current_stream()
        own.wait_event(arrived.ready)
        for tensor in (arrived.image.normalised, *others):
            # The memory must not be reused before this stream has read it.
            tensor.record_stream(own)


def _finish(model: SegmentationModel) -> None:
    """Wait for the device, so that any of its streams can go on from here."""
    if model.device.type == "cuda":
        torch.cuda.current_stream(model.device).synchronize()
