# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The universal propagation network on disk: a safetensors file of its own, without classes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gsvnet_lab.universal.inference import UniversalInference
from gsvnet_lab.universal.network import UniversalConfig, UniversalPropagation
from gsvnet_model.checkpoint.atomic_file import atomic_write
from gsvnet_model.checkpoint.metadata import decode_metadata
from gsvnet_model.checkpoint.quoted import quoted
from gsvnet_model.checkpoint.reader import (
    check_file,
    check_names_and_shapes,
    check_values,
    unreadable,
)
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model import SegmentationModel

UNIVERSAL_WEIGHTS = "universal_propagation.safetensors"
"""File name of the universal network of the repository."""

_METADATA_KEY = "gsvnet_universal"
_FORMAT_VERSION = 1
_MAX_REASON = 300


@dataclass(frozen=True)
class UniversalInfo:
    """What belongs to the weights of a universal propagation network.

    Attributes:
        normalisation: constants of the grid images that it takes.
        command: the command that trained it.
    """

    normalisation: Normalisation
    command: str = ""


def default_universal() -> Path:
    """Return the path of the universal network in the repository's folder weights/.

    Raises:
        ValueError: if it is not there, as in an installed package.
    """
    path = Path(__file__).resolve().parents[2] / "weights" / UNIVERSAL_WEIGHTS
    if not path.is_file():
        raise ValueError(
            f"expected the repository's universal network at {path}, found none; an installed "
            f"package does not carry it: give the path of {UNIVERSAL_WEIGHTS} instead"
        )
    return path


def save_universal(
    path: Path,
    network: UniversalPropagation,
    info: UniversalInfo,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a universal propagation network.

    Args:
        path: safetensors file to write.
        network: the network.
        info: what belongs to it.
        dtype: of the floating-point tensors in the file.

    Raises:
        ValueError: if the file cannot be written, or values are not finite in `dtype`.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        value = value.detach().cpu().contiguous()
        tensors[name] = value.to(dtype) if value.is_floating_point() else value
        check_values(name, tensors[name], str(path))
    metadata = {
        "version": _FORMAT_VERSION,
        "network": dataclasses.asdict(network.config),
        **dataclasses.asdict(info),
    }
    try:
        with atomic_write(path) as partial:
            partial.write_bytes(save(tensors, {_METADATA_KEY: json.dumps(metadata)}))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"expected a file that can be written, got {path}: {error}") from error


def read_universal(path: Path) -> tuple[UniversalPropagation, UniversalInfo]:
    """Return the universal propagation network of a file, float32 on the CPU, and its info.

    Raises:
        ValueError: if the file is missing or holds no such network.
    """
    if not path.is_file():
        raise ValueError(f"expected a universal propagation network, found no file at {path}")
    check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            if text is None:
                raise ValueError(
                    f"expected a universal propagation network in {path}, found no metadata under "
                    f"{_METADATA_KEY!r}; weights with classes go to --weights"
                )
            try:
                config, info = _from_metadata(decode_metadata(text))
            except (KeyError, TypeError, ValueError) as error:
                reason = repr(error)[:_MAX_REASON]
                raise ValueError(f"{path}: expected complete metadata, got {reason}") from error
            network = UniversalPropagation(config)
            got = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            check_names_and_shapes(network.state_dict(), got, path)
            tensors = {name: file.get_tensor(name) for name in got}
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error
    for name, value in tensors.items():
        check_values(name, value, str(path))
    network.load_state_dict(tensors)  # converts them to float32
    return network, info


def _from_metadata(content: object) -> tuple[UniversalConfig, UniversalInfo]:
    """Return what the metadata means, or raise what says that it means nothing."""
    if not isinstance(content, Mapping) or content.get("version") != _FORMAT_VERSION:
        raise ValueError(f"expected format version {_FORMAT_VERSION}, got {quoted(content)}")
    constants = content["normalisation"]
    mean, std = (tuple(map(float, constants[name])) for name in ("mean", "std"))
    finite = all(map(math.isfinite, (*mean, *std)))
    if len(mean) != 3 or len(std) != 3 or not finite or min(std) <= 0:
        raise ValueError(f"expected three means and deviations, got {quoted(constants)}")
    info = UniversalInfo(Normalisation(mean, std), str(content["command"]))
    return UniversalConfig(**content["network"]), info


def with_universal(model: SegmentationModel, path: Path) -> SegmentationModel:
    """Return the model with a universal propagation network in the place of its own.

    Confidences are uncalibrated then, and the estimate of disagreement, which belonged to the
    other network, sees no loss.

    Args:
        model: the weights; stay as they are.
        path: file of the universal network.

    Raises:
        ValueError: as `read_universal`, or if the two normalise images in different ways.
    """
    network, info = read_universal(path)
    if info.normalisation != model.info.normalisation:
        raise ValueError(
            f"expected weights whose images are normalised with {info.normalisation}, as {path} "
            f"takes them, got {model.info.normalisation}"
        )
    network = network.to(model.device).eval().requires_grad_(False)
    return SegmentationModel(
        model.keyframe,
        model.propagation,
        model.info.unfitted(),
        model.device,
        model.precision,
        propagate=UniversalInference(network, model.precision),
    )
