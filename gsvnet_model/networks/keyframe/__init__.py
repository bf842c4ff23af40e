# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image networks that label the keyframes.

Any `nn.Module` that maps a normalised (N, 3, H, W) RGB image to (N, K, h, w) logits, of
whatever stride, can serve. Those that a checkpoint can name are in `KEYFRAME_NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.keyframe.ddrnet import DDRNet
from gsvnet_model.networks.keyframe.swiftnet import SwiftNet

KEYFRAME_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "swiftnet_r18": SwiftNet,
    "bisenet_r18": BiSeNet,
    "ddrnet23_slim": DDRNet,
}
"""Constructors by name; each takes the number of classes.

To add a network of your own, before loading a checkpoint that names it::

    KEYFRAME_NETWORKS["my_network"] = lambda num_classes: MyNetwork(num_classes)
"""


def build_keyframe_network(name: str, num_classes: int) -> nn.Module:
    """Return a keyframe network with fresh weights.

    Raises:
        ValueError: if no network of that name is registered.
    """
    if name not in KEYFRAME_NETWORKS:
        raise ValueError(
            f"expected a keyframe network out of {sorted(KEYFRAME_NETWORKS)}, got {name!r}"
        )
    return KEYFRAME_NETWORKS[name](num_classes)
