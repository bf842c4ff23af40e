# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How far propagated labels were off, seen where a keyframe follows in the same frame."""

from torch import Tensor


def observed_disagreement(propagated: Tensor, keyframe: Tensor) -> float:
    """Return the percent of cells that two (1, K, h, w) logits of one frame label unlike."""
    unlike = propagated.argmax(1) != keyframe.argmax(1)
    return 100 * float(unlike.float().mean())
