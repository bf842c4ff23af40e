# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The guiding network: which kernel to trust in every cell of the grid."""

from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.propagation.block import conv_norm_activation
from gsvnet_model.ops.mix import mixing_weights


class GuideNetwork(nn.Module):
    """A small encoder-decoder that gives mixing weights.

    See: paper Sec. 3 (guiding network). Weights are ReLU outputs divided by their sum, as in
    the released implementation, and not a softmax. There are `channels` on the full grid, and
    twice as many on every coarser one.
    """

    def __init__(self, in_channels: int, num_slots: int, channels: int = 32) -> None:
        super().__init__()
        half, quarter = 2 * channels, 4 * channels
        self.encoder = nn.ModuleList(
            (
                conv_norm_activation(in_channels, channels, nn.ReLU()),
                conv_norm_activation(channels, half, nn.ReLU(), stride=2),
                conv_norm_activation(half, quarter, nn.ReLU(), stride=2),
            )
        )
        self.decoder = nn.ModuleList(
            (
                conv_norm_activation(quarter, half, nn.ReLU()),
                conv_norm_activation(half, channels, nn.ReLU()),
            )
        )
        self.head = conv_norm_activation(channels, num_slots, nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """Predict the mixing weights.

        Args:
            features: Input (N, in_channels, h, w), float; any grid size.

        Returns:
            Mixing weights (N, num_slots, h, w): not negative, summing to 1 over the slots, or
            all 0 in a cell where the network gives zero for every slot. Same dtype as the
            output of the layers; normalised in float32.

        Convention:
            maps are upsampled bilinearly, align_corners=True, to the size of the
            encoder's map of that level. Where both sides divide by 4 this is the released
            doubling; elsewhere the released network fails.
        """
        full = self.encoder[0](features)
        half = self.encoder[1](full)
        quarter = self.encoder[2](half)
        decoded = self.decoder[0](_upsample(quarter, half))
        decoded = self.decoder[1](_upsample(decoded, full))
        scores: Tensor = self.head(decoded + full)
        return mixing_weights(scores).to(scores.dtype)


def _upsample(values: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(values, like.shape[-2:], mode="bilinear", align_corners=True)
