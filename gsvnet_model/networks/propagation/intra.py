# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The intra network: a weak segmentation of the current frame alone."""

from torch import Tensor, nn

from gsvnet_model.networks.propagation.block import conv_norm_activation


class IntraNetwork(nn.Module):
    """Three convolutions on the small current image.

    See: paper Sec. 3 (intra-frame features).
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_norm_activation(3, channels, nn.ReLU()),
            conv_norm_activation(channels, channels, nn.ReLU()),
        )
        self.head = nn.Conv2d(channels, num_classes, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)

    def forward(self, current: Tensor) -> Tensor:
        """Segment the current image on the grid.

        Args:
            current: Normalised RGB image (N, 3, h, w), float.

        Returns:
            Logits (N, K, h, w).
        """
        logits: Tensor = self.head(self.body(current))
        return logits
