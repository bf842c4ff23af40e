# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""ResNet-18 as encoder of the keyframe networks.

See: paper Sec. 3 (the image segmentation networks SwiftNet-R18 and BiSeNet-R18).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, ReLU after the sum."""

    conv_norm_pairs = (("conv1", "bn1"), ("conv2", "bn2"))
    """Layers that `forward` runs one right after the other; read by `fuse_batch_norm`."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H/stride, W/stride)."""
        # In place, because every large tensor less is a pass through memory less.
        residual = self.bn2(self.conv2(torch.relu_(self.bn1(self.conv1(x)))))
        return torch.relu_(residual.add_(self.downsample(x)))


class ResNet18(nn.Module):
    """The four stages of ResNet-18, without the classification head.

    The outputs are taken after the ReLU: the released SwiftNet describes its skips as
    pre-activation, but its in-place ReLU overwrites them, and released weights expect that.
    """

    channels = (64, 128, 256, 512)
    conv_norm_pairs = (("conv1", "bn1"),)
    """Layers that `forward` runs one right after the other; read by `fuse_batch_norm`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 128, 2)
        self.layer3 = _stage(128, 256, 2)
        self.layer4 = _stage(256, 512, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the stage outputs of a normalised image.

        Args:
            image: (N, 3, H, W), normalised RGB.

        Returns:
            Four maps of 64, 128, 256 and 512 channels at strides 4, 8, 16 and 32.
        """
        x = self.pool(torch.relu_(self.bn1(self.conv1(image))))
        stride4 = self.layer1(x)
        stride8 = self.layer2(stride4)
        stride16 = self.layer3(stride8)
        return stride4, stride8, stride16, self.layer4(stride16)


def _stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(in_channels, channels, stride), BasicBlock(channels, channels, 1)
    )


def initialise_convolutions(network: nn.Module) -> None:
    """Set every convolution to Kaiming-normal weights (fan out), as SwiftNet trains."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
