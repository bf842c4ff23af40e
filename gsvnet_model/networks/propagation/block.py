# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The block that every network of the propagation is made of."""

from collections import OrderedDict

from torch import nn


def conv_norm_activation(
    in_channels: int,
    out_channels: int,
    activation: nn.Module,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """Build convolution (with bias), batch normalisation and activation.

    The padding keeps the size at stride 1 and gives ``ceil(size / 2)`` at stride 2.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        activation: Applied last.
        kernel_size: Side of the kernel, odd.
        stride: Step of the convolution.
        dilation: Distance between the taps of the kernel.

    Returns:
        The layers, under the names ``conv``, ``norm`` and ``activation``.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
    )
    norm = nn.BatchNorm2d(out_channels)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, activation=activation))
