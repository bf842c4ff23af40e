# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Trained weights as the start of another training."""

from __future__ import annotations

from torch import nn

from gsvnet_model.networks.keyframe.resnet import ResNet18


def load_pretrained(network: nn.Module, trained: nn.Module) -> None:
    """Copy the weights of a trained keyframe network into a fresh one.

    All of them between networks of one kind; between others with a ResNet-18 encoder (SwiftNet,
    BiSeNet) the encoder's.

    Raises:
        ValueError: if the two have nothing in common.
    """
    if type(network) is type(trained):
        network.load_state_dict(trained.state_dict())
        return
    target, source = _encoder(network), _encoder(trained)
    if target is None or source is None:
        raise ValueError(
            f"expected weights of {type(network).__name__} or, for one with a ResNet-18 encoder, "
            f"of another with that, got {type(trained).__name__}"
        )
    target.load_state_dict(source.state_dict())


def _encoder(network: nn.Module) -> nn.Module | None:
    return next((part for part in network.modules() if isinstance(part, ResNet18)), None)
