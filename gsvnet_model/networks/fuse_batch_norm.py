# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Batch normalisation folded into the convolution before it, for inference."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gsvnet_model.networks.keyframe.resnet import BasicBlock, ResNet18

_Network = TypeVar("_Network", bound=nn.Module)


def fuse_batch_norm(network: _Network) -> _Network:
    """Return a copy for inference with less batch normalisation left to compute.

    The results are the same up to rounding. Only where the code says that a normalisation
    directly follows a convolution is it folded: in every `nn.Sequential` and in the ResNet. The
    order in which another module registers its layers need not be that in which it runs them.

    Args:
        network: any network, float32; it is not changed.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            names = [name for name, _ in module.named_children()]
            gone = {second for first, second in pairwise(names) if _fold(module, first, second)}
            for name, (_, after) in zip(names, list(module.named_children())[1:], strict=False):
                # In place of what a folded normalisation hands on: nobody else holds it.
                if name in gone and isinstance(after, nn.ReLU | nn.LeakyReLU):
                    after.inplace = True
        elif isinstance(module, ResNet18):
            _fold(module, "conv1", "bn1")
        elif isinstance(module, BasicBlock):
            _fold(module, "conv1", "bn1")
            _fold(module, "conv2", "bn2")
    return network


def _fold(module: nn.Module, first: str, second: str) -> bool:
    """Fold the second layer into the first if they are normalisation and convolution."""
    conv, norm = module.get_submodule(first), module.get_submodule(second)
    if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
        return False
    module.add_module(first, fuse_conv_bn_eval(conv, norm))
    module.add_module(second, nn.Identity())
    return True
