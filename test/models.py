# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""For the tests: models with random weights (real networks, cheap keyframes), and images."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gsvnet_model import CAMVID, ModelInfo, SegmentationModel
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork


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


def moving_images(
    count: int, height: int = 96, width: int = 128, seed: int = 0
) -> list[NDArray[np.uint8]]:
    """Return smooth random images that move to the left by two pixels a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (12, 48, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (width + 4 * count, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + width]) for i in range(count)]
