# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""SwiftNet-R18, single scale: the paper's first keyframe network.

See: paper Sec. 4 (SN-R18) and Orsic et al., "In defense of pre-trained ImageNet architectures".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.keyframe.resnet import ResNet18, initialise_convolutions

_WIDTH = 128
_POOL_WIDTH = 42
_POOL_GRIDS = (8, 4, 2)
_POOL_BN_MOMENTUM = 0.005


class BNReLUConv(nn.Module):
    """Batch norm, ReLU, convolution, in this order (pre-activation)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = False,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels, momentum=bn_momentum)
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, out_channels, h, w)."""
        return self.conv(torch.relu_(self.norm(x)))  # type: ignore[no-any-return]


class SpatialPyramidPooling(nn.Module):
    """Context from averages over an 8, 4 and 2 row grid, concatenated with the map itself."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        momentum = _POOL_BN_MOMENTUM
        self.reduce = BNReLUConv(in_channels, _WIDTH, 1, bn_momentum=momentum)
        self.levels = nn.ModuleList(
            BNReLUConv(_WIDTH, _POOL_WIDTH, 1, bn_momentum=momentum) for _ in _POOL_GRIDS
        )
        fused = _WIDTH + len(_POOL_GRIDS) * _POOL_WIDTH
        self.fuse = BNReLUConv(fused, _WIDTH, 1, bn_momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, 128, h, w).

        Convention:
            The pooling grid has g rows and round(g * w / h) columns; the averages go back to
            h x w bilinearly with align_corners=False.
        """
        x = self.reduce(x)
        height, width = x.shape[-2:]
        maps = [x]
        for rows, level in zip(_POOL_GRIDS, self.levels, strict=True):
            columns = max(1, round(rows * width / height))
            pooled = level(F.adaptive_avg_pool2d(x, (rows, columns)))
            maps.append(F.interpolate(pooled, x.shape[-2:], mode="bilinear", align_corners=False))
        return self.fuse(torch.cat(maps, 1))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """One decoder step: resize to the skip, add its projection, blend with a 3x3 convolution."""

    def __init__(self, skip_channels: int) -> None:
        super().__init__()
        self.skip = BNReLUConv(skip_channels, _WIDTH, 1)
        self.blend = BNReLUConv(_WIDTH, _WIDTH, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (N, 128, h, w) and a skip (N, skip_channels, H, W) to (N, 128, H, W).

        Convention:
            Bilinear, align_corners=False as released; True from n to 2 * n - 1 cells, where the
            corners of a strided convolution's map lie on those of the larger map. They all do in
            images with sides of 32 * n + 1 pixels.
        """
        skip = self.skip(skip)
        size = skip.shape[-2:]
        corners = all(large == 2 * side - 1 for large, side in zip(size, x.shape[-2:], strict=True))
        x = F.interpolate(x, size, mode="bilinear", align_corners=corners)
        return self.blend(x + skip)  # type: ignore[no-any-return]


class SwiftNet(nn.Module):
    """SwiftNet-R18: ResNet-18, pyramid pooling and a light ladder decoder.

    Args:
        num_classes: number of classes K.
    """

    stride = 4

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.encoder = ResNet18()
        self.spp = SpatialPyramidPooling(ResNet18.channels[-1])
        self.decoder = nn.ModuleList(Upsample(channels) for channels in ResNet18.channels[2::-1])
        self.logits = BNReLUConv(_WIDTH, num_classes, 1, bias=True)
        initialise_convolutions(self)
        # Kaiming's deviation would start this layer at confident nonsense.
        nn.init.normal_(self.logits.conv.weight, std=0.01)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a normalised image.

        Args:
            image: (N, 3, H, W), normalised RGB, any size of at least 32 x 32.

        Returns:
            (N, K, ceil(H/4), ceil(W/4)) logits.
        """
        stages = self.encoder(image)
        x = self.spp(stages[-1])
        for upsample, skip in zip(self.decoder, stages[2::-1], strict=True):
            x = upsample(x, skip)
        return self.logits(x)  # type: ignore[no-any-return]
