# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Models with random weights for the tests: real networks, cheap keyframes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsvnet_model import CAMVID, ModelInfo, SegmentationModel
from gsvnet_model.preprocessing import Normalisation
from gsvnet_model.propagation import PropagationConfig, PropagationNetwork


class TinyKeyframeNetwork(nn.Module):
    """A keyframe network of one's own: normalised images in, logits at stride 4 out."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 7, 4, 3)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.conv(image)
        return logits


def random_model(
    seed: int = 0, precision: torch.dtype = torch.float32, **info: object
) -> SegmentationModel:
    """Return a CamVid model with a tiny keyframe network and the real propagation network."""
    torch.manual_seed(seed)
    return SegmentationModel(
        TinyKeyframeNetwork(CAMVID.num_classes),
        PropagationNetwork(PropagationConfig(CAMVID.num_classes)),
        ModelInfo("tiny", CAMVID, Normalisation.swiftnet(), **info),  # type: ignore[arg-type]
        precision=precision,
    )
