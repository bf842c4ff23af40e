# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Batch normalisation fused into the convolution before it, for inference."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gsvnet_model.networks.keyframe import find_logits

_Network = TypeVar("_Network", bound=nn.Module)

_SAMPLE_SIZE = (64, 96)
"""(H, W) of the image on which a fused network is compared with the plain one."""

_TOLERANCE = 1e-3
"""Largest difference of fused logits, shares of the largest logit: float32 rounds by less than
1e-4, a layer that was fused wrongly changes the logits altogether."""


def fuse_batch_norm(network: _Network) -> _Network:
    """Return a copy for inference with less batch normalisation left to compute.

    The results are the same up to rounding. A normalisation is fused only where the code says
    that it directly follows a convolution: in a module that runs its children in order, as
    `nn.Sequential` does, and where a module names such pairs in `conv_norm_pairs`, as the ResNet
    does. The order in which another module registers its layers need not be that in which it runs
    them. Layers with hooks, with weights computed by others and of other classes stay.

    Args:
        network: any network, float32; it is not changed.
    """
    fused = _inference_copy(network)
    _fuse_layers(fused)
    return fused


def fuse_batch_norm_if_equal(network: nn.Module) -> nn.Module:
    """Return a copy of a keyframe network for inference, fused if that changes nothing.

    What a network of one's own does with its layers cannot be seen from outside: it may read a
    layer's output a second time, or call a layer by itself. So both forms are compared on one
    small image. If they differ, the copy has its batch normalisation as it was, and a warning
    says so.

    Args:
        network: from a normalised (N, 3, H, W) RGB image to logits; it is not changed.
    """
    copied = _inference_copy(network)
    if not _fusible(copied):
        return copied
    expected = _logits_of_sample(copied)
    _fuse_layers(copied)
    reason = _difference(_logits_of_sample(copied), expected)
    if not reason:
        return copied
    warnings.warn(
        f"keyframe network {type(network).__name__}: its batch normalisation is not fused into "
        f"its convolutions, which makes it slower: {reason}",
        RuntimeWarning,
        stacklevel=3,
    )
    return _inference_copy(network)


def _inference_copy(network: _Network) -> _Network:
    """Return a copy that is evaluated and not trained."""
    # PyTorch does not copy tensors that it computed with gradients, as `weight_norm` leaves them.
    computed = {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    with torch.no_grad():  # TorchScript copies by computing, and is not asked as a whole below
        copied = copy.deepcopy(network, computed).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied


def _fuse_layers(network: nn.Module) -> None:
    """Fuse what can be fused, in place."""
    for module, first, second in _fusible(network):
        conv, norm = module._modules[first], module._modules[second]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        module._modules[first] = fuse_conv_bn_eval(conv, norm)
        module._modules[second] = nn.Identity()
        names = list(module._modules)
        after = names[names.index(second) + 1 :]
        if not _runs_in_order(module) or not after:
            continue
        following = module._modules[after[0]]
        if _is_plain(following, nn.ReLU, nn.LeakyReLU):
            # In place of what the convolution returns, which nobody else holds; a copy, because
            # the layer may stand in other places as well.
            in_place = copy.copy(following)
            in_place.inplace = True  # type: ignore[union-attr]
            module._modules[after[0]] = in_place


def _fusible(network: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """Return modules with the names of a convolution and the normalisation right after it."""
    return [
        (module, first, second)
        for module in network.modules()
        for first, second in _successions(module)
        if _can_fuse(module._modules[first], module._modules[second])
    ]


def _successions(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Give the names of children of which the second is known to run right after the first."""
    if _runs_in_order(module):
        # With a layer that stands in two places, `named_children` would leave one out.
        yield from pairwise(list(module._modules))
    else:
        yield from getattr(type(module), "conv_norm_pairs", ())


def _runs_in_order(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and "forward" not in vars(module)
    )


def _can_fuse(conv: nn.Module | None, norm: nn.Module | None) -> bool:
    return (
        _is_plain(conv, nn.Conv2d)
        and _is_plain(norm, nn.BatchNorm2d)
        and isinstance(conv, nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_var is not None
        and norm.num_features == conv.out_channels
        and not norm.training
    )


def _is_plain(layer: nn.Module | None, *classes: type[nn.Module]) -> bool:
    """Return whether a layer is of one of the classes itself, and computes what they do."""
    return (
        type(layer) in classes
        and "forward" not in vars(layer)
        and not any(
            getattr(layer, name)
            for name in (
                "_forward_hooks",
                "_forward_pre_hooks",
                "_backward_hooks",
                "_backward_pre_hooks",
            )
        )
    )


def _logits_of_sample(network: nn.Module) -> Tensor | Exception:
    """Return the logits of a small image, or what the network raised."""
    random = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 3, *_SAMPLE_SIZE, generator=random)
    try:
        with torch.no_grad():
            return find_logits(network(sample.to(next(network.parameters()))))
    # Whatever a network of somebody else comes up with costs time and no labels.
    except Exception as error:
        return error


def _difference(got: Tensor | Exception, expected: Tensor | Exception) -> str:
    """Return how the fused network's logits differ from the plain one's; "" if they agree."""
    for result in (expected, got):
        if isinstance(result, Exception):
            height, width = _SAMPLE_SIZE
            return (
                f"on an image of {width}x{height} pixels (width x height), on which that is "
                f"checked, it failed with {type(result).__name__}: {result}"
            )
    assert isinstance(got, Tensor) and isinstance(expected, Tensor)
    if expected.is_meta:  # no values, so none that could differ
        return ""
    largest = float(expected.nan_to_num(0, 0, 0).abs().max())
    if got.shape == expected.shape and torch.allclose(
        got, expected, rtol=0, atol=_TOLERANCE * largest, equal_nan=True
    ):
        return ""
    return "fused, it gives other logits; a network may read or call its layers in ways of its own"
