# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""DDRNet-23-slim: a branch at stride 8 beside one that goes down to stride 64.

See: Hong et al., "Deep Dual-resolution Networks for Real-time and Accurate Semantic
Segmentation of Road Scenes", Sec. 3 and Table 1.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.keyframe.dappm import DeepAggregationPyramidPooling
from gsvnet_model.networks.keyframe.resnet import initialise_convolutions

_WIDTH = 32
_HIGH_WIDTH = 2 * _WIDTH
_POOL_WIDTH = 128
_FUSED_WIDTH = 2 * _HIGH_WIDTH
_HEAD_WIDTH = 64


class ResidualBlock(nn.Module):
    """Convolutions beside a shortcut; their sum is handed on without an activation."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H/stride, W/stride)."""
        residual: Tensor = self.residual(x)
        return residual.add_(self.shortcut(x))


class DDRNet(nn.Module):
    """DDRNet-23-slim: two resolutions that exchange features, and deep pyramid pooling.

    The stages hand on sums that no ReLU has cut: the branches are fused before it.

    Args:
        num_classes: number of classes K.
    """

    stride = 8
    auxiliary_weight = 0.4
    """Of the auxiliary head's loss, as released; the main head's is 1."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        width, high = _WIDTH, _HIGH_WIDTH
        self.stem = nn.Sequential(
            _conv_norm_relu(3, width, 3, 2),
            _conv_norm_relu(width, width, 3, 2),
            _stage(width, width, 1),
            nn.ReLU(inplace=True),
            _stage(width, 2 * width, 2),
            nn.ReLU(inplace=True),
        )
        self.low3 = _stage(2 * width, 4 * width, 2)
        self.low4 = _stage(4 * width, 8 * width, 2)
        self.low5 = _bottleneck(8 * width, 2)
        self.high3 = _stage(high, high, 1)
        self.high4 = _stage(high, high, 1)
        self.high5 = _bottleneck(high, 1)
        self.to_high3 = _conv_norm(4 * width, high, 1)
        self.to_high4 = _conv_norm(8 * width, high, 1)
        self.to_low3 = _conv_norm(high, 4 * width, 3, 2)
        self.to_low4 = nn.Sequential(
            _conv_norm_relu(high, 4 * width, 3, 2), _conv_norm(4 * width, 8 * width, 3, 2)
        )
        self.context = DeepAggregationPyramidPooling(16 * width, _POOL_WIDTH, _FUSED_WIDTH)
        self.head = _segmentation_head(_FUSED_WIDTH, num_classes)
        self.auxiliary = _segmentation_head(high, num_classes)
        initialise_convolutions(self)
        for head in (self.head, self.auxiliary):
            # Kaiming's deviation would start this layer at confident nonsense.
            nn.init.normal_(head.get_submodule("logits").weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a normalised image.

        Args:
            image: (N, 3, H, W), normalised RGB, any size of at least 32 x 32.

        Returns:
            (N, K, ceil(H/8), ceil(W/8)) logits.
        """
        return self.head(self._features(image)[0])  # type: ignore[no-any-return]

    def forward_with_auxiliary(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the head and of the head that only training uses.

        Args:
            image: (N, 3, H, W), normalised RGB, any size of at least 32 x 32.

        Returns:
            Logits twice, (N, K, ceil(H/8), ceil(W/8)); the second after stage 3 of the
            high-resolution branch.
        """
        fused, high = self._features(image)
        return self.head(fused), self.auxiliary(high)

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused features and the high-resolution branch after stage 3, at stride 8.

        Convention:
            The low-resolution branch is upsampled bilinearly with align_corners=True: a cell of a
            strided convolution is centred on its first pixel, so that on sides of 64 * n + 1
            every map's corners lie on the image's. (The released code has them False.)
        """
        x = self.stem(image)
        low, high = self.low3(x), self.high3(x)
        low, stage3 = _exchange(low, high, self.to_low3, self.to_high3)
        low, high = self.low4(torch.relu(low)), self.high4(torch.relu(stage3))
        low, high = _exchange(low, high, self.to_low4, self.to_high4)
        context = self.context(self.low5(torch.relu_(low)))
        high = self.high5(torch.relu_(high))
        return high + _resize(context, like=high), stage3


def _exchange(
    low: Tensor, high: Tensor, to_low: nn.Module, to_high: nn.Module
) -> tuple[Tensor, Tensor]:
    """Return each branch with the other's features added (bilateral fusion)."""
    for_low, for_high = to_low(torch.relu(high)), to_high(torch.relu(low))
    return low.add_(for_low), high.add_(_resize(for_high, like=high))


def _stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _basic_block(in_channels, channels, stride),
        nn.ReLU(inplace=True),
        _basic_block(channels, channels, 1),
    )


def _basic_block(in_channels: int, channels: int, stride: int) -> ResidualBlock:
    residual = nn.Sequential(
        _conv_norm_relu(in_channels, channels, 3, stride), _conv_norm(channels, channels, 3)
    )
    if stride == 1 and in_channels == channels:
        return ResidualBlock(residual, nn.Identity())
    return ResidualBlock(residual, _conv_norm(in_channels, channels, 1, stride))


def _bottleneck(channels: int, stride: int) -> ResidualBlock:
    residual = nn.Sequential(
        _conv_norm_relu(channels, channels, 1),
        _conv_norm_relu(channels, channels, 3, stride),
        _conv_norm(channels, 2 * channels, 1),
    )
    return ResidualBlock(residual, _conv_norm(channels, 2 * channels, 1, stride))


def _segmentation_head(in_channels: int, num_classes: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, _HEAD_WIDTH, 3, padding=1, bias=False)
    return nn.Sequential(
        OrderedDict(
            input_norm=nn.BatchNorm2d(in_channels),
            input_activation=nn.ReLU(inplace=True),
            conv=conv,
            norm=nn.BatchNorm2d(_HEAD_WIDTH),
            activation=nn.ReLU(inplace=True),
            logits=nn.Conv2d(_HEAD_WIDTH, num_classes, 1),
        )
    )


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels)))


def _conv_norm_relu(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    unit = _conv_norm(in_channels, out_channels, kernel_size, stride)
    unit.add_module("activation", nn.ReLU(inplace=True))
    return unit


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
