# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Deep aggregation pyramid pooling module (DAPPM): context at five scales, coarse into fine.

See: Hong et al., "Deep Dual-resolution Networks for Real-time and Accurate Semantic
Segmentation of Road Scenes", Sec. 3.4.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_POOLS = ((5, 2), (9, 4), (17, 8))
"""(kernel, stride) of the average pools between the map itself and its global average."""


class DeepAggregationPyramidPooling(nn.Module):
    """The map, three average pools and the global average; each blended with the finer one.

    Args:
        in_channels: channels of the input.
        width: channels of every scale.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        scales = len(_POOLS) + 2
        self.scales = nn.ModuleList(_norm_relu_conv(in_channels, width, 1) for _ in range(scales))
        self.blends = nn.ModuleList(_norm_relu_conv(width, width, 3) for _ in range(scales - 1))
        self.compress = _norm_relu_conv(scales * width, out_channels, 1)
        self.shortcut = _norm_relu_conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, out_channels, h, w).

        Convention:
            Pools are centred on every second, fourth and eighth cell and average only cells
            inside the map, so that a map of another size means the same; they go back to h x w
            bilinearly with align_corners=True.
        """
        # The released code counts the padding's zeros as well.
        pooled = [
            F.avg_pool2d(x, kernel, stride, kernel // 2, count_include_pad=False)
            for kernel, stride in _POOLS
        ]
        pooled.append(x.mean((2, 3), keepdim=True))
        maps = [self.scales[0](x)]
        for scale, blend, coarse in zip(self.scales[1:], self.blends, pooled, strict=True):
            coarse = F.interpolate(scale(coarse), x.shape[-2:], mode="bilinear", align_corners=True)
            maps.append(blend(coarse + maps[-1]))
        return self.compress(torch.cat(maps, 1)) + self.shortcut(x)  # type: ignore[no-any-return]


def _norm_relu_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(
        OrderedDict(norm=nn.BatchNorm2d(in_channels), activation=nn.ReLU(inplace=True), conv=conv)
    )
