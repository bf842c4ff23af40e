# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The state dict in a checkpoint, and its tensors under the names of our networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from gsvnet_lab.released.inert_pickle import Foreign
from gsvnet_lab.released.torch_file import StoredTensor
from gsvnet_model.checkpoint.quoted import quoted
from gsvnet_model.checkpoint.reader import check_values

StateDict: TypeAlias = dict[str, StoredTensor]
"""Tensors that are not read yet, by their names in the released code."""

_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
    *("averaged_model", "state_dict_ema", "ema_state_dict", "model_ema", "ema", "module"),
)
"""Keys under which training code stores its state dict, in the order of preference: what was
trained before its moving averages."""

_PREFIXES = ("module.", "model.", "net.", "grm.")
"""What training wrappers (DataParallel, Lightning, the released trainer) put before the names."""
_COMPILED = "_orig_mod."
"""What `torch.compile` puts before the names of what it compiled."""
_NOT_OF_THE_NETWORK = ("n_averaged",)
"""Tensors that averaging stores beside those of the network."""

_MAX_DEPTH = 4
"""Dicts in one another down to the state dict."""
_MAX_NAMES = 10
"""So many names of tensors are shown; a checkpoint of another network has hundreds."""


def find_state_dict(content: object, path: Path) -> StateDict:
    """Return the tensors of a checkpoint, their names without the prefixes of training wrappers.

    Args:
        content: a state dict, or a dict that holds one under one of the usual keys; other values
            beside the tensors are left out.
        path: of the checkpoint, for messages.

    Raises:
        ValueError: if no tensors are found, or two of one name.
    """
    for _ in range(_MAX_DEPTH):
        if isinstance(content, dict):
            inner = [content.get(key) for key in _WRAPPERS]
            content = next((value for value in inner if isinstance(value, dict)), content)
    if isinstance(content, dict) and not _tensors(content):
        # Something else lies where the state dict would.
        content = next((content[key] for key in _WRAPPERS if key in content), content)
    if not isinstance(content, dict) or not _tensors(content):
        raise ValueError(
            f"{path}: expected a state dict, got {_kind(content)}; save the network's state_dict() "
            "alone"
        )
    found: StateDict = {}
    for stored_name, tensor in _tensors(content).items():
        name = _unwrapped(stored_name)
        if name in found:
            raise ValueError(
                f"{path}: expected one network, got two tensors {quoted(name)}; save the state "
                "dict of one network alone"
            )
        found[name] = tensor
    return {name: tensor for name, tensor in found.items() if name not in _NOT_OF_THE_NETWORK}


def size_of(
    released: Mapping[str, StoredTensor], name: str, axis: int, default: int, largest: int
) -> int:
    """Return the size of a tensor's axis, on which the size of the network depends.

    Args:
        released: the tensors by released name.
        name: of the tensor. Where it is missing, the released network's size takes its place: what
            else is missing can then be said.
        axis: of the tensor.
        default: the released network's size.
        largest: the largest size that a network may have.

    Raises:
        ValueError: if the size is larger.
    """
    tensor = released.get(name)
    if tensor is None or not tensor.shape:
        return default
    size = tensor.shape[axis]
    if not 1 <= size <= largest:
        raise ValueError(f"{name}: expected 1 to {largest} channels, got {size}")
    return size


def rename(
    released: Mapping[str, StoredTensor],
    build: Callable[[], nn.Module],
    modules: Mapping[str, str],
    path: Path,
) -> dict[str, Tensor]:
    """Read the tensors of a network.

    Args:
        released: the tensors by released name.
        build: makes the network that they belong to.
        modules: the released name of each of its modules. What follows the module in the name
            of a tensor (`.weight`, `.running_mean`, ...) is the same on both sides.
        path: of the checkpoint, for messages.

    Returns:
        The network's complete state dict. Counts of batches, which old PyTorch versions did not
        store, are 0 where they are missing: nothing is computed from them.

    Raises:
        ValueError: if tensors are missing, unexpected, of another shape or not finite.
    """
    with torch.device("meta"):  # names and shapes are enough
        network = build()
    expected = {
        _released_name(name, modules): (name, tensor)
        for name, tensor in network.state_dict().items()
    }
    counts = {name for name in expected if name.endswith("num_batches_tracked")}
    different = [
        f"{name} (expected {tuple(tensor.shape)}, got {quoted(released[name].shape)})"
        for name, (_, tensor) in expected.items()
        if name in released and released[name].shape != tuple(tensor.shape)
    ]
    problems = {
        "missing": sorted(expected.keys() - released.keys() - counts),
        "unexpected": [quoted(name)[1:-1] for name in sorted(released.keys() - expected.keys())],
        "of another shape": different,
    }
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in problems.items() if names)
        raise ValueError(
            f"{path}: expected the {len(expected)} tensors of the released "
            f"{type(network).__name__}, got others; {listed}; give the checkpoint of this network"
        )
    return {
        name: read_tensor(theirs, released[theirs], path) if theirs in released else torch.tensor(0)
        for theirs, (name, _) in expected.items()
    }


def listed(names: Iterable[object]) -> str:
    """Return the first of some names, quoted, and how many more there are."""
    return _some([quoted(name) for name in names], 5) or "nothing"


def read_tensor(name: str, stored: StoredTensor, path: Path) -> Tensor:
    """Read a tensor of a checkpoint.

    Raises:
        ValueError: if its bytes are damaged or its values not finite.
    """
    try:
        tensor = stored.read()
    except Exception as error:  # as in `read_torch_file`
        raise ValueError(
            f"{path}: {name}: expected a tensor, got damaged bytes ({str(error)[:200]!r}); "
            "download the file again"
        ) from error
    check_values(name, tensor, str(path))
    return tensor


def _tensors(content: Mapping[object, object]) -> StateDict:
    return {str(name): value for name, value in content.items() if isinstance(value, StoredTensor)}


def _kind(content: object) -> str:
    if isinstance(content, Foreign):
        return f"an object of {quoted(content.name)[1:-1]}"
    if isinstance(content, dict):
        return f"a dict of {listed(content)}"
    return type(content).__name__


def _unwrapped(name: str) -> str:
    """Strip the prefixes of the training wrappers, in whichever order they were wrapped."""
    name = name.replace(_COMPILED, "")
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name


def _released_name(name: str, modules: Mapping[str, str]) -> str:
    for ours, theirs in modules.items():
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    raise ValueError(f"expected a tensor of the modules {sorted(modules)}, got {name!r}")


def _some(names: list[str], limit: int = _MAX_NAMES) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
