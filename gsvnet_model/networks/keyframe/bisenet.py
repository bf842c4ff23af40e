# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""BiSeNet-R18: the paper's second keyframe network.

See: paper Sec. 4 (BN-R18) and Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time
Semantic Segmentation".
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.keyframe.resnet import ResNet18, initialise_convolutions

_WIDTH = 128
_FUSED_WIDTH = 2 * _WIDTH
_HEAD_WIDTH = 64
_AUXILIARY_WIDTH = 256


class AttentionRefinement(nn.Module):
    """A 3x3 convolution whose channels are weighted by their global context."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.reduce = _conv_norm_relu(in_channels, _WIDTH, 3)
        gate = nn.Conv2d(_WIDTH, _WIDTH, 1, bias=False)
        self.gate = nn.Sequential(OrderedDict(conv=gate, norm=nn.BatchNorm2d(_WIDTH)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, 128, h, w)."""
        x = self.reduce(x)
        gate: Tensor = self.gate(_global_average(x))
        return x * torch.sigmoid(gate)


class FeatureFusion(nn.Module):
    """Spatial and context features joined, their channels weighted by global context."""

    def __init__(self) -> None:
        super().__init__()
        self.blend = _conv_norm_relu(2 * _WIDTH, _FUSED_WIDTH, 1)
        self.squeeze = nn.Conv2d(_FUSED_WIDTH, _FUSED_WIDTH, 1, bias=False)
        self.excite = nn.Conv2d(_FUSED_WIDTH, _FUSED_WIDTH, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Map two (N, 128, h, w) to (N, 256, h, w)."""
        x: Tensor = self.blend(torch.cat((spatial, context), 1))
        gate: Tensor = self.excite(torch.relu(self.squeeze(_global_average(x))))
        return x + x * torch.sigmoid(gate)


class SegmentationHead(nn.Module):
    """A 3x3 convolution and the 1x1 convolution to logits."""

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.blend = _conv_norm_relu(in_channels, channels, 3)
        self.logits = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to logits (N, K, h, w)."""
        return self.logits(self.blend(x))  # type: ignore[no-any-return]


class BiSeNet(nn.Module):
    """BiSeNet-R18: a shallow spatial path beside a ResNet-18 context path.

    Args:
        num_classes: number of classes K.
    """

    stride = 8

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            _conv_norm_relu(3, 64, 7, stride=2),
            _conv_norm_relu(64, 64, 3, stride=2),
            _conv_norm_relu(64, 64, 3, stride=2),
            _conv_norm_relu(64, _WIDTH, 1),
        )
        self.context = ResNet18()
        self.global_context = _conv_norm_relu(ResNet18.channels[3], _WIDTH, 1)
        self.attention = nn.ModuleList(
            AttentionRefinement(channels) for channels in ResNet18.channels[:1:-1]
        )
        self.refine = nn.ModuleList(_conv_norm_relu(_WIDTH, _WIDTH, 3) for _ in range(2))
        self.fusion = FeatureFusion()
        self.head = SegmentationHead(_FUSED_WIDTH, _HEAD_WIDTH, num_classes)
        self.auxiliary = nn.ModuleList(
            SegmentationHead(_WIDTH, _AUXILIARY_WIDTH, num_classes) for _ in range(2)
        )
        initialise_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a normalised image.

        Args:
            image: (N, 3, H, W), normalised RGB, any size of at least 32 x 32.

        Returns:
            (N, K, ceil(H/8), ceil(W/8)) logits.
        """
        return self.head(self._features(image)[0])  # type: ignore[no-any-return]

    def forward_with_auxiliary(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of the head and of the two heads that only training uses.

        Args:
            image: (N, 3, H, W), normalised RGB, any size of at least 32 x 32.

        Returns:
            Logits (N, K, ., .) at strides 8, 16 and 8; the last two of the context path.
        """
        fused, coarse, fine = self._features(image)
        return self.head(fused), self.auxiliary[0](coarse), self.auxiliary[1](fine)

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the fused features and the context path's, at strides 8, 16 and 8.

        Convention:
            The context path is upsampled bilinearly with align_corners=True to the size of the
            encoder's next larger map.
        """
        _, stride8, stride16, stride32 = self.context(image)
        # A 1x1 map resized to the whole map is the same value everywhere.
        x = self.attention[0](stride32) + self.global_context(_global_average(stride32))
        coarse = self.refine[0](_resize(x, like=stride16))
        x = self.attention[1](stride16) + coarse
        fine = self.refine[1](_resize(x, like=stride8))
        return self.fusion(self.spatial(image), fine), coarse, fine


def _conv_norm_relu(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    norm = nn.BatchNorm2d(out_channels)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, activation=nn.ReLU()))


def _global_average(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
