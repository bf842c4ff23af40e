# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Several cameras in one node, against a node for each of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.checkpoint import load_model
from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.segmenter import VideoSegmenter
from gsvnet_ros.node.parameters import make_settings
from gsvnet_ros.tools.benchmark.nodes import running, start_node
from gsvnet_ros.tools.benchmark.probe import Answer, Probe, ProbeCamera

_AHEAD = 2
"""Frames of a camera on their way at once where throughput is measured."""

_ROUNDS = 3
"""Both arrangements take turns, so that what else runs on the machine meets both."""


@dataclass(frozen=True)
class RigFigures:
    """The figures of one node with several cameras.

    Attributes:
        cameras: number of cameras.
        tick_ms: median time of a tick: from sending one image of every camera until all masks
            and confidences are back.
        tick_p95_ms: its 95th percentile.
        tick_ratio: p95 over median.
        differing_pixels: pixels of all masks of the ticks that differ from the library's with
            the same keyframes.
        frames_per_s: of all cameras together, one node.
        separate_frames_per_s: of as many nodes with one camera each.
        throughput_ratio: one node over separate nodes.
        mean_batch_size: streams that the one node propagated together, on average.
    """

    cameras: int
    tick_ms: float
    tick_p95_ms: float
    tick_ratio: float
    differing_pixels: int
    frames_per_s: float
    separate_frames_per_s: float
    throughput_ratio: float
    mean_batch_size: float


def measure_rig(
    images: Sequence[NDArray[np.uint8]],
    num_cameras: int,
    ticks: int,
    parameters: Mapping[str, object],
    logs: Path,
) -> RigFigures:
    """Measure one node with several cameras and several nodes with one.

    Args:
        images: (H, W, 3) uint8 RGB; every camera starts at another one.
        num_cameras: of the rig.
        ticks: images per camera and measurement.
        parameters: of all nodes.
        logs: folder for the output of the processes.
    """
    names = [f"camera{index}" for index in range(num_cameras)]
    # Throughput is that of the networks only where no frame is dropped.
    shared = {**parameters, "frames.policy": "all", "frames.max_gap": 0.0}
    # Masks can be compared from any keyframe on where it takes nothing from the frames before.
    shared["keyframe.carry_over"] = 0.0
    one = start_node(logs / "rig.log", {**shared, "cameras": names}, "/rig")
    several = [start_node(logs / f"{name}.log", shared, f"/{name}") for name in names]
    with running(one, *several) as probe:
        together = [
            probe.add_camera(f"/rig/{name}/image", f"/rig/segmentation/{name}", keeps_masks=True)
            for name in names
        ]
        apart = [probe.add_camera(f"/{name}/image", f"/{name}/segmentation") for name in names]
        probe.connect([*together, *apart], images[0])
        started = [_tick(probe, together, images, index) for index in range(2 * num_cameras)]
        timed = [_tick(probe, together, images, len(started) + index) for index in range(ticks)]
        settings = make_settings(shared)
        model = load_model(
            settings.model_weights or None,
            settings.model_device,
            settings.model_precision,
            settings.model_input_scale or None,
        )
        differing = _differing_pixels([answers for _, answers in started + timed], images, model)
        for camera in together:
            camera.keeps_masks = False
        rates: dict[str, list[float]] = {"together": [], "apart": []}
        for _ in range(_ROUNDS):
            rates["together"].append(_throughput(probe, together, images, ticks))
            rates["apart"].append(_throughput(probe, apart, images, ticks))
    tick_ms = [duration_ms for duration_ms, _ in timed]
    batches = [
        int(answer.status["batch_size"])
        for _, answers in timed
        for answer in answers
        if answer.status is not None and answer.status["is_keyframe"] == "false"
    ]
    median, p95 = float(np.median(tick_ms)), float(np.percentile(tick_ms, 95))
    one_rate, separate_rate = (float(np.median(values)) for values in rates.values())
    return RigFigures(
        cameras=num_cameras,
        tick_ms=median,
        tick_p95_ms=p95,
        tick_ratio=p95 / median,
        differing_pixels=differing,
        frames_per_s=one_rate,
        separate_frames_per_s=separate_rate,
        throughput_ratio=one_rate / separate_rate,
        mean_batch_size=float(np.mean(batches)) if batches else 1.0,
    )


def _view(images: Sequence[NDArray[np.uint8]], camera: int, index: int) -> NDArray[np.uint8]:
    """Return frame `index` of a camera; no two cameras see the same."""
    return images[(index + 3 * camera) % len(images)]


def _tick(
    probe: Probe, cameras: Sequence[ProbeCamera], images: Sequence[NDArray[np.uint8]], index: int
) -> tuple[float, list[Answer]]:
    """Send one image of every camera; return the ms until all came back, and the answers."""
    started = time.perf_counter()
    answers = [camera.send(_view(images, number, index)) for number, camera in enumerate(cameras)]
    pairs = list(zip(cameras, answers, strict=True))
    probe.wait(lambda: all(camera.is_complete(answer) for camera, answer in pairs))
    return 1e3 * (time.perf_counter() - started), answers


def _differing_pixels(
    ticks: Sequence[Sequence[Answer]],
    images: Sequence[NDArray[np.uint8]],
    model: SegmentationModel,
) -> int:
    """Return how many pixels differ from the library's with keyframes in the same places."""
    differing = 0
    for number in range(len(ticks[0])):
        alone = VideoSegmenter(model, 1_000_000, temporal_blending=0)
        for index, answers in enumerate(ticks):
            answer = answers[number]
            assert answer.mask is not None and answer.status is not None
            reason = "here" if answer.status["is_keyframe"] == "true" else ""
            # The node's first frames were forgotten, so the comparison begins at a keyframe.
            if reason or alone.is_running:
                labels = alone.step(_view(images, number, index), force_keyframe=reason).labels
                differing += int((labels != answer.mask).sum())
    return differing


def _throughput(
    probe: Probe, cameras: Sequence[ProbeCamera], images: Sequence[NDArray[np.uint8]], count: int
) -> float:
    """Return frames per second of all cameras, each of which always has frames on their way."""
    flying: list[list[Answer]] = [[] for _ in cameras]
    indices = [itertools.count() for _ in cameras]
    left = [count] * len(cameras)
    started = time.perf_counter()

    def refill() -> bool:
        for number, camera in enumerate(cameras):
            flying[number] = [a for a in flying[number] if not camera.is_complete(a)]
            while left[number] and len(flying[number]) < _AHEAD:
                flying[number].append(camera.send(_view(images, number, next(indices[number]))))
                left[number] -= 1
        return not any(flying)

    probe.wait(refill)
    return count * len(cameras) / (time.perf_counter() - started)
