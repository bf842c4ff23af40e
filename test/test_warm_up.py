# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Configuring the node leaves nothing to compile for the first frames."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import numpy as np
from gsvnet_model import VideoSegmenter, load_model
from gsvnet_model.ops.cpu.propagation import mix_rows, warp_rows
from gsvnet_model.ops.cpu.signals import add_signal_rows
from gsvnet_ros.node.segmentation_node import warm_up

loops = (warp_rows, mix_rows, add_signal_rows)
model = load_model(device="cpu")
warm_up(model)
ready = [list(loop.signatures) for loop in loops]
assert all(ready), ready
segmenter = VideoSegmenter(model, 100)
image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
for index in range(4):
    segmenter.step(np.roll(image, 2 * index, axis=1))
assert [list(loop.signatures) for loop in loops] == ready
"""


def test_the_first_frames_compile_nothing() -> None:
    # In a process of its own, which no other test has warmed up.
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
