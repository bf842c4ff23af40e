# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""FlowLight: a small network for the motion between two frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.propagation.block import conv_norm_activation

DILATIONS = (1, 2, 4, 8)

# The released weights were trained with this divisor between network and warp. It has no
# counterpart in the paper, and a network trained anew learns the same flow with any other.
FLOW_DIVISOR = 4.0


class FlowLight(nn.Module):
    """Estimate optical flow with dilated convolutions and no correlation volume.

    Four dilated convolutions see the same features; running sums of their outputs are merged
    and added to those features.

    See: paper Sec. 3 (FlowLight). The merging convolution is 1x1, as in the released
    implementation, although the paper's figure calls it 3x3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm_activation(6, 32, nn.LeakyReLU(0.1), stride=2),
            conv_norm_activation(32, 64, nn.LeakyReLU(0.1), stride=2),
        )
        self.dilated = nn.ModuleList(
            conv_norm_activation(64, 64, nn.LeakyReLU(0.1), dilation=dilation)
            for dilation in DILATIONS
        )
        self.merge = conv_norm_activation(64 * len(DILATIONS), 64, nn.LeakyReLU(0.1), kernel_size=1)
        self.head = nn.Conv2d(64, 2, 3, padding=1)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Estimate the flow from the current to the previous image, at a quarter of the grid.

        Args:
            current: Normalised RGB image (N, 3, h, w), float.
            previous: The image one frame earlier, same layout.

        Returns:
            Raw flow (N, 2, ceil(h / 4), ceil(w / 4)) in order (dx, dy); see `flow_on_grid`.

        Convention:
            the current image comes first on the channel axis; the values are
            ``FLOW_DIVISOR`` times the displacement in pixels of the (h, w) grid.
        """
        features = self.stem(torch.cat((current, previous), dim=1))
        rows = features.shape[2]
        # For an odd number of rows oneDNN adds in an order that depends on the number of threads
        # and on the batch; one more row of the zeros that lie around the map changes nothing else.
        even = F.pad(features, (0, 0, 0, rows % 2))
        sums: list[Tensor] = []
        for branch in self.dilated:
            output = branch(even)
            sums.append(output + sums[-1] if sums else output)
        merged: Tensor = self.merge(torch.cat(sums, dim=1))[:, :, :rows]
        flow: Tensor = self.head(merged + features)
        return flow


def flow_on_grid(raw_flow: Tensor, height: int, width: int) -> Tensor:
    """Bring the output of `FlowLight` to the grid and to pixels of that grid.

    Args:
        raw_flow: Raw flow (N, 2, any, any).
        height: Rows h of the grid.
        width: Columns w of the grid.

    Returns:
        Flow (N, 2, h, w), (dx, dy) in pixels of the grid.

    Convention:
        bilinear, align_corners=True. Magnitudes are divided by ``FLOW_DIVISOR`` and
        not scaled with the change of size: the network is trained to answer in these units.
    """
    resized = F.interpolate(raw_flow, (height, width), mode="bilinear", align_corners=True)
    return resized / FLOW_DIVISOR
