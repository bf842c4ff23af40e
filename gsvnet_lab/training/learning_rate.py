# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The course of the learning rate that both trainings share."""

import math


def cosine_decay(progress: float) -> float:
    """Return the factor of the peak at a progress of 0 to 1: from 1 along a cosine to 1 %."""
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
