# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What a network learns from another one's probabilities."""

from torch import Tensor
from torch.nn import functional as F


def divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean divergence from a teacher's probabilities, also where no label is known.

    Args:
        logits: (N, K, h, w) of the network that learns.
        teacher: (N, K, h, w) logits.
    """
    terms = F.kl_div(logits.log_softmax(1), teacher.softmax(1), reduction="none")
    return terms.sum(1).mean()
