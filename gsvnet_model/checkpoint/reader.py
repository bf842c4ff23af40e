# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights files become networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gsvnet_model.checkpoint.metadata import METADATA_KEY, decode_metadata, from_metadata
from gsvnet_model.checkpoint.quoted import quoted
from gsvnet_model.hardware.device import AUTO, choose_device, choose_precision
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import UNTRAINED_PROPAGATION, ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationNetwork

DEFAULT_WEIGHTS = "ddrnet23_slim_camvid.safetensors"
"""File name of the weights that the installed package carries."""

_KEYFRAME, _PROPAGATION = "keyframe.", "propagation."
"""What the names of the two networks' tensors begin with."""

_MAX_FILE_BYTES = 2 << 30
_MAX_HEADER_BYTES = 4 << 20
"""A network of a thousand layers has a header of 1 MB."""
_MAX_DIFFERENCES = 10
_MAX_REASON = 200


def default_weights() -> Path:
    """Return the path of the weights that the package carries."""
    return Path(str(resources.files("gsvnet_model") / "weights" / DEFAULT_WEIGHTS))


def load_model(
    path: str | Path | None = None,
    device: str = AUTO,
    precision: str = AUTO,
    input_scale: float | None = None,
) -> SegmentationModel:
    """Load weights and build the networks that they name.

    Args:
        path: safetensors file; None loads the weights that the package carries.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "float32", "bfloat16" or "float16", of the keyframe network.
        input_scale: keyframe input pixels per image pixel; None is what the weights are meant for.

    Returns:
        The model, ready to run.

    Raises:
        ValueError: if the file is missing, is no weights file of this project, or holds other
            tensors than its networks need (the first 10 are named) or values that are not
            finite; or if device, precision or input scale cannot be had.
    """
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    weights = default_weights() if path is None else Path(path)
    keyframe, propagation, info = read_networks(weights)
    if not info.propagation_trained:
        warnings.warn(f"{weights}: {UNTRAINED_PROPAGATION}", RuntimeWarning, stacklevel=2)
    if input_scale is not None:
        info = info.at_scale(input_scale)
    return SegmentationModel(keyframe, propagation, info, chosen_device, chosen_precision)


def read_networks(path: str | Path) -> tuple[nn.Module, PropagationNetwork, ModelInfo]:
    """Return keyframe network, propagation network (float32, CPU) and info of a weights file.

    Raises:
        ValueError: as `load_model`.
    """
    content = read_file(Path(path))
    networks = {_KEYFRAME: content.keyframe, _PROPAGATION: content.propagation}
    for prefix, network in networks.items():
        state = {
            name: content.tensors[prefix + name].to(value.dtype)
            for name, value in network.state_dict().items()
        }
        for name, value in state.items():
            check_values(prefix + name, value, str(path))
        network.load_state_dict(state)
    return content.keyframe, content.propagation, content.info


class FileContent(NamedTuple):
    """What a weights file holds.

    Attributes:
        metadata: as stored; its values are checked.
        info: what the metadata says about the weights.
        keyframe: the keyframe network that the metadata names, with fresh weights.
        propagation: the propagation network that the metadata describes, with fresh weights.
        tensors: as stored, by name; their names, shapes and kinds are those of the networks.
    """

    metadata: dict[str, Any]
    info: ModelInfo
    keyframe: nn.Module
    propagation: PropagationNetwork
    tensors: dict[str, Tensor]


def read_file(path: Path) -> FileContent:
    """Read a weights file; nothing is allocated by what an unchecked file says.

    Raises:
        ValueError: as `load_model`.
    """
    check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise ValueError(
                    f"expected metadata under {METADATA_KEY!r} in {path}, found none; released "
                    "checkpoints are converted with 'gsvnet import'"
                )
            try:
                metadata = decode_metadata(text)
                config, info = from_metadata(metadata)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
            keyframe = build_keyframe_network(info.keyframe_network, info.classes.num_classes)
            propagation = PropagationNetwork(config)
            expected = network_tensors(keyframe, propagation)
            got = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            check_names_and_shapes(expected, got, path)
            tensors = {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from error
    for name, value in tensors.items():
        if value.is_floating_point() != expected[name].is_floating_point():
            raise ValueError(
                f"{path}: {name}: expected {expected[name].dtype} or alike, got {value.dtype}"
            )
    return FileContent(metadata, info, keyframe, propagation, tensors)


def network_tensors(keyframe: nn.Module, propagation: PropagationNetwork) -> dict[str, Tensor]:
    """Return the tensors of both networks under their names in weights files."""
    return {
        prefix + name: value
        for prefix, network in ((_KEYFRAME, keyframe), (_PROPAGATION, propagation))
        for name, value in network.state_dict().items()
    }


def check_values(name: str, value: Tensor, source: str) -> None:
    """Refuse a tensor with which every label would be that of class 0.

    Raises:
        ValueError: if values are not finite, or variances negative.
    """
    # A sum is quicker than looking at each value, and not finite if one of them is not.
    if value.is_floating_point() and not (
        math.isfinite(float(value.sum())) or bool(value.isfinite().all())
    ):
        raise ValueError(
            f"{source}: {name}: expected finite values, got NaN or infinity; the training that "
            "made them has diverged"
        )
    if name.endswith("running_var") and (value < 0).any():
        raise ValueError(f"{source}: {name}: expected variances of 0 or more, got negative ones")


def unreadable(path: Path, error: Exception) -> ValueError:
    """Return what is raised where the library does not take a file as safetensors."""
    # The library quotes what it does not understand, however long that is.
    reason = repr(str(error)[:_MAX_REASON])[1:-1]
    return ValueError(f"expected a readable safetensors file, got {path}: {reason}")


def check_file(path: Path) -> None:
    """Refuse what is no regular file, and sizes that no weights file has.

    Raises:
        ValueError: if the file cannot be a safetensors file of this project.
    """
    if not path.is_file():
        raise ValueError(f"expected a weights file, found none at {path}")
    num_bytes = path.stat().st_size
    if num_bytes > _MAX_FILE_BYTES:
        raise ValueError(
            f"expected a weights file of at most {_MAX_FILE_BYTES} bytes, got {path} of {num_bytes}"
        )
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise ValueError(
            f"expected a weights file that can be read, got {path}: {error}"
        ) from error
    if not 2 <= header_bytes <= min(_MAX_HEADER_BYTES, num_bytes - 8):
        raise ValueError(
            f"expected a readable safetensors file, got {path}: {num_bytes} bytes cannot begin "
            f"with a header of {header_bytes}"
        )


def check_names_and_shapes(
    expected: Mapping[str, Tensor], got: Mapping[str, Sequence[int]], path: Path
) -> None:
    """Compare what networks need with what a file holds, before anything of it is read.

    Args:
        expected: the tensors of the networks, by name.
        got: the shapes of the tensors in the file, by name.
        path: of the file, for the message.

    Raises:
        ValueError: if names or shapes differ, naming the first ten that do.
    """
    differences = [f"missing {name}" for name in expected if name not in got]
    differences += [f"unexpected {quoted(name)[1:-1]}" for name in got if name not in expected]
    differences += [
        f"{name}: expected shape {tuple(value.shape)}, got {quoted(tuple(got[name]))}"
        for name, value in expected.items()
        if name in got and tuple(got[name]) != tuple(value.shape)
    ]
    if differences:
        more = len(differences) - _MAX_DIFFERENCES
        shown = differences[:_MAX_DIFFERENCES] + [f"and {more} more"] * (more > 0)
        raise ValueError(f"weights of {path} do not fit the networks: {'; '.join(shown)}")
