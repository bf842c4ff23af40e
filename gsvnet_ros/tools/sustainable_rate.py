# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The rate at which this machine serves every frame of a camera."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from gsvnet_model.checkpoint import load_model
from gsvnet_model.stream.segmenter import VideoSegmenter

_RATES_HZ = (15.0, 12.0, 10.0, 8.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.25)
_NUM_TIMED = 3

_SHARE = 0.75
"""The camera, the recorder and the transport want their part of the machine too."""


def keyframe_seconds(weights: Path | None, height: int, width: int) -> float:
    """Measure how long a keyframe takes on this machine, in seconds.

    Args:
        weights: a checkpoint, None for the weights in the package.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        The longest of a few.

    Raises:
        ValueError: if the weights cannot be loaded.
    """
    segmenter = VideoSegmenter(load_model(weights), keyframe_interval=1)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    segmenter.step(image)  # the first is slower
    longest = 0.0
    for _ in range(_NUM_TIMED):
        started = time.perf_counter()
        segmenter.step(image)
        longest = max(longest, time.perf_counter() - started)
    return longest


def sustainable_rate_hz(keyframe_s: float, keyframe_interval: int) -> float:
    """Return a rate at which no frame is dropped for want of time.

    One frame can wait while a keyframe is computed, so two periods may pass; where every frame
    is a keyframe, one.

    Args:
        keyframe_s: duration of a keyframe, seconds.
        keyframe_interval: frames from one keyframe to the next.
    """
    periods = 1 if keyframe_interval == 1 else 2
    limit_hz = _SHARE * periods / keyframe_s
    return next((rate_hz for rate_hz in _RATES_HZ if rate_hz <= limit_hz), _RATES_HZ[-1])
