# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image networks that label the keyframes.

Any `nn.Module` that maps a normalised (N, 3, H, W) RGB image to (N, K, h, w) logits, of
whatever stride, can serve. Those that a checkpoint can name are in `KEYFRAME_NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


# Imported when they are built: a checkpoint needs one of them.
def _swiftnet(num_classes: int) -> nn.Module:
    from gsvnet_model.networks.keyframe.swiftnet import SwiftNet

    return SwiftNet(num_classes)


def _bisenet(num_classes: int) -> nn.Module:
    from gsvnet_model.networks.keyframe.bisenet import BiSeNet

    return BiSeNet(num_classes)


def _ddrnet(num_classes: int) -> nn.Module:
    from gsvnet_model.networks.keyframe.ddrnet import DDRNet

    return DDRNet(num_classes)


KEYFRAME_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "swiftnet_r18": _swiftnet,
    "bisenet_r18": _bisenet,
    "ddrnet23_slim": _ddrnet,
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


def find_logits(output: object) -> Tensor:
    """Return the logits among what a keyframe network returned.

    Args:
        output: a tensor; or a dictionary with the logits under "out", as torchvision's networks
            return it; or a tuple or list with the logits first, auxiliary heads after them.

    Raises:
        ValueError: if it is something else.
    """
    logits = output
    if isinstance(output, Mapping):
        logits = output.get("out")
    elif isinstance(output, tuple | list):
        logits = output[0] if output else None
    if not isinstance(logits, Tensor):
        keys = f" with {list(output)}" if isinstance(output, Mapping) else ""
        raise ValueError(
            "expected a keyframe network that returns logits: a tensor, a dictionary with 'out', "
            f"or a tuple with the logits first; got {type(output).__name__}{keys}"
        )
    return logits


def checked_logits(output: object, batch: int, num_classes: int) -> Tensor:
    """Return the logits among what a keyframe network returned, if they have the right shape.

    Args:
        output: what the network returned; see `find_logits`.
        batch: N, images that the network was given.
        num_classes: K.

    Returns:
        (N, K, h, w), floating.

    Raises:
        ValueError: if there are no such logits.
    """
    logits = find_logits(output)
    shape = tuple(logits.shape)
    if len(shape) != 4 or shape[:2] != (batch, num_classes) or 0 in shape:
        raise ValueError(
            f"expected logits of shape ({batch}, {num_classes}, h, w) from the keyframe network: "
            f"{batch} image(s), {num_classes} classes; got {shape}"
        )
    if not torch.is_floating_point(logits):
        raise ValueError(
            f"expected floating logits from the keyframe network, got {logits.dtype}; "
            "return the logits, not the labels"
        )
    return logits
