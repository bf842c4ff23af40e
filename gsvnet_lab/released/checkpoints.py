# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Import of the checkpoints released with GSVNet, SwiftNet and BiSeNet."""

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gsvnet_lab.released.names import (
    BISENET_MODULES,
    PROPAGATION_MODULES,
    SWIFTNET_MODULES,
    released_name,
)
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.keyframe.swiftnet import SwiftNet
from gsvnet_model.networks.propagation.kernels import KERNEL_SIZES, ideal_delay_kernels
from gsvnet_model.networks.propagation.step import PropagationConfig, PropagationNetwork

Triple = tuple[float, float, float]

_KERNELS = "ideal_dk.filter_copy_s"

# First convolutions that take BGR images in the released networks, and the order of their input
# channels that makes them take RGB. The flow network takes the current and the previous image.
_BGR_INPUTS = {
    "intra.body.0.conv.weight": [2, 1, 0],
    "flow.stem.0.conv.weight": [2, 1, 0, 5, 4, 3],
}


class ReleasedKeyframe(NamedTuple):
    """A released keyframe network under our names.

    Attributes:
        architecture: ``swiftnet_r18`` or ``bisenet_r18``.
        num_classes: Classes K.
        state_dict: Tensors for ``SwiftNet`` or ``BiSeNet``, complete.
        mean: Mean of the RGB pixels the network was trained with, on the scale 0..255.
        std: Standard deviation of these pixels, same scale.
    """

    architecture: str
    num_classes: int
    state_dict: dict[str, Tensor]
    mean: Triple
    std: Triple


class ReleasedPropagation(NamedTuple):
    """A released propagation network under our names.

    Attributes:
        config: Configuration of the network, read from the tensors.
        state_dict: Tensors for ``PropagationNetwork(config)``, complete, for RGB images.
    """

    config: PropagationConfig
    state_dict: dict[str, Tensor]


def read_released_keyframe(path: str | Path) -> ReleasedKeyframe:
    """Read a released SwiftNet-R18 or BiSeNet-R18; both take RGB.

    Args:
        path: File written by ``torch.save``: a state dict, bare or under ``state_dict`` or
            ``model``. Code in the file is never run.

    Returns:
        The network under our names.

    Raises:
        ValueError: If the file is not such a checkpoint; lists every tensor that differs.
        OSError: If the file cannot be opened.
    """
    content = _load(path)
    wrapped = [content[key] for key in ("state_dict", "model") if key in content]
    released = _tensors(wrapped[0] if wrapped else content, path)
    if any(name.startswith("spatial_path.") for name in released):
        num_classes = _size(released, "heads.2.conv_1x1.weight", 0, default=19)
        state_dict = _rename(released, lambda: BiSeNet(num_classes), BISENET_MODULES, path)
        usual = Normalisation.imagenet()
        return ReleasedKeyframe("bisenet_r18", num_classes, state_dict, usual.mean, usual.std)
    if any(name.startswith("backbone.") for name in released):
        num_classes = _size(released, "logits.conv.weight", 0, default=19)
        usual = Normalisation.swiftnet()
        mean = _statistics(released, "backbone.img_mean", usual.mean, path)
        std = _statistics(released, "backbone.img_std", usual.std, path)
        state_dict = _rename(released, lambda: SwiftNet(num_classes), SWIFTNET_MODULES, path)
        return ReleasedKeyframe("swiftnet_r18", num_classes, state_dict, mean, std)
    raise ValueError(
        f"{path}: expected tensors named 'backbone...' (SwiftNet-R18) or 'spatial_path...' "
        f"(BiSeNet-R18), got {_listing(released)}; give a released keyframe checkpoint"
    )


def read_released_propagation(path: str | Path) -> ReleasedPropagation:
    """Read a released GSVNet checkpoint with FlowLight.

    The released flow and intra networks take BGR images. Here, and nowhere else, their first
    convolutions are turned to RGB.

    Args:
        path: File written by ``torch.save``: a dict with ``state_dict`` (intra network, guiding
            network and kernels) and ``state_dict_of`` (flow network). Code in the file is never
            run.

    Returns:
        The network under our names. Kernels other than the ideal delays become learned ones.

    Raises:
        ValueError: If the file is not such a checkpoint; lists every tensor that differs.
        OSError: If the file cannot be opened.
    """
    content = _load(path)
    if not {"state_dict", "state_dict_of"} <= content.keys():
        raise ValueError(
            f"{path}: expected a dict with 'state_dict' and 'state_dict_of', got "
            f"{_listing(content)}; give a released GSVNet checkpoint"
        )
    released = _tensors(content["state_dict"], path) | _tensors(content["state_dict_of"], path)
    if _KERNELS in released and released[_KERNELS].shape[1:3] == (1, 1):
        # Published for a 3-D convolution with one channel and depth 1.
        released[_KERNELS] = released[_KERNELS][:, 0, 0]
    config = _propagation_config(released)
    state_dict = _rename(released, lambda: PropagationNetwork(config), PROPAGATION_MODULES, path)
    for name, order in _BGR_INPUTS.items():
        state_dict[name] = state_dict[name][:, order]
    return ReleasedPropagation(config, state_dict)


def _propagation_config(released: Mapping[str, Tensor]) -> PropagationConfig:
    kernel_size = _size(released, _KERNELS, -1, default=3)
    if kernel_size not in KERNEL_SIZES:
        kernel_size = KERNEL_SIZES[0]  # the shapes are then reported as different
    ideal = ideal_delay_kernels(kernel_size)
    return PropagationConfig(
        num_classes=_size(released, "intra_net.intra_net.6.weight", 0, default=19),
        kernel_size=kernel_size,
        learned_kernels=not torch.equal(released.get(_KERNELS, ideal).float(), ideal),
        intra_channels=_size(released, "intra_net.intra_net.0.weight", 0, default=32),
    )


def _size(released: Mapping[str, Tensor], name: str, axis: int, default: int) -> int:
    """Read a size; without the tensor, take the released one to say what else is missing."""
    tensor = released.get(name)
    return default if tensor is None or tensor.ndim == 0 else tensor.shape[axis]


def _statistics(
    released: dict[str, Tensor], name: str, default: Triple, path: str | Path
) -> Triple:
    """Take the normalisation out of the checkpoint: it is no part of our network."""
    buffer = released.pop(name, None)
    if buffer is None:
        return default
    if buffer.numel() != 3:
        raise ValueError(f"{path}: {name}: expected 3 values, got {tuple(buffer.shape)}")
    # Rounded because the buffers hold float32 neighbours of the decimal numbers.
    red, green, blue = (round(float(value), 4) for value in buffer.flatten())
    return red, green, blue


def _load(path: str | Path) -> dict[str, object]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{path}: expected a checkpoint of tensors written by torch.save, got a file that "
            f"does not load as one ({error}); download it again, or save its state dict alone"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a dict, got {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def _tensors(content: object, path: str | Path) -> dict[str, Tensor]:
    """Check that a state dict holds tensors alone, and strip the wrappers from its names."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a state dict, got {type(content).__name__}")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ValueError(
            f"{path}: expected a state dict of tensors, got other values under {_listing(others)}; "
            "save the state dict alone"
        )
    return {_unwrapped(str(name)): value for name, value in content.items()}


def _unwrapped(name: str) -> str:
    """Strip the prefixes of the training wrappers, in whichever order they were wrapped."""
    while name.startswith(("module.", "grm.")):
        name = name.partition(".")[2]
    return name


def _rename(
    released: Mapping[str, Tensor],
    build: Callable[[], nn.Module],
    modules: Mapping[str, str],
    path: str | Path,
) -> dict[str, Tensor]:
    """Return the released tensors under the names of the network, or say what differs."""
    with torch.device("meta"):  # names and shapes are enough
        network = build()
    expected = {
        released_name(name, modules): (name, tensor)
        for name, tensor in network.state_dict().items()
    }
    different = [
        f"{name} (expected {tuple(tensor.shape)}, got {tuple(released[name].shape)})"
        for name, (_, tensor) in expected.items()
        if name in released and released[name].shape != tensor.shape
    ]
    problems = {
        "missing": sorted(expected.keys() - released.keys()),
        "unexpected": sorted(released.keys() - expected.keys()),
        "of another shape": different,
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{what}: {', '.join(names)}" for what, names in problems.items() if names
        )
        raise ValueError(
            f"{path}: expected the {len(expected)} tensors of the released "
            f"{type(network).__name__}, got others; {listed}; give the checkpoint of this network"
        )
    return {name: released[theirs] for theirs, (name, _) in expected.items()}


def _listing(names: Iterable[str], limit: int = 5) -> str:
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return (", ".join(quoted[:limit]) or "nothing") + more
