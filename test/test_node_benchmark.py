# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The benchmarks of the node, shortened: what they say must be true of a short run too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from ros_process import scene

from gsvnet_ros.tools.benchmark.overhead import measure_overhead
from gsvnet_ros.tools.benchmark.rig import measure_rig
from gsvnet_ros.tools.benchmark.soak import soak


@pytest.fixture
def parameters(weights_path: Path) -> dict[str, object]:
    """Parameters of the nodes."""
    return {
        "model.weights": str(weights_path),
        "model.device": "cpu",
        "model.precision": "float32",
        "keyframe.interval": 3,
    }


@pytest.fixture
def images() -> list[NDArray[np.uint8]]:
    """A pan."""
    return [scene(index) for index in range(8)]


def test_short_soak_accounts_for_every_frame_and_does_not_grow(
    parameters: dict[str, object], images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    figures = soak(images, 30.0, 40.0, 15.0, parameters, tmp_path)
    assert figures.sent > 300
    assert figures.uncounted == 0
    assert figures.counted == figures.sent == figures.served + sum(figures.dropped.values())
    assert figures.memory_growth_percent < 2.0
    assert figures.left_segments == 0


def test_overhead_is_what_the_node_adds_to_the_library(
    parameters: dict[str, object], images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    figures = measure_overhead(images, 5, parameters, tmp_path)
    assert 0.0 < figures.step_ms < figures.node_ms
    assert figures.ratio == pytest.approx(figures.added_ms / figures.relay_ms)
    assert figures.relay_ms > 0.0


def test_cameras_of_one_node_give_the_librarys_masks(
    parameters: dict[str, object], images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    figures = measure_rig(images, 2, 6, parameters, tmp_path)
    assert figures.differing_pixels == 0
    assert figures.throughput_ratio == pytest.approx(
        figures.frames_per_s / figures.separate_frames_per_s
    )
