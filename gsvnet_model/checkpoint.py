# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors, both networks and all that belongs to them in one file."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gsvnet_model.atomic_file import atomic_write
from gsvnet_model.hardware.device import AUTO, choose_device, choose_precision
from gsvnet_model.images.preprocessing import Normalisation
from gsvnet_model.model import UNTRAINED_PROPAGATION, ModelInfo, SegmentationModel
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.scheduling.quality import QualityModel

DEFAULT_WEIGHTS = "ddrnet23_slim_camvid.safetensors"
"""File name of the weights that the installed package carries."""

_METADATA_KEY = "gsvnet"
_FORMAT_VERSION = 1

_STORED_LOGIT_ADJUSTMENT = "class_bias"
"""Name of `ModelInfo.logit_adjustment` in files; older than the attribute's."""


def default_weights() -> Path:
    """Return the path of the weights that the package carries."""
    return Path(str(resources.files("gsvnet_model") / "weights" / DEFAULT_WEIGHTS))


def save_model(
    path: Path,
    keyframe: nn.Module,
    propagation: PropagationNetwork,
    info: ModelInfo,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write both networks with their metadata.

    Args:
        path: safetensors file to write.
        keyframe: the network that `info.keyframe_network` names.
        propagation: the propagation network.
        info: what belongs to the weights.
        dtype: of the floating-point tensors in the file; float16 halves it.

    Raises:
        ValueError: if the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, network in (("keyframe.", keyframe), ("propagation.", propagation)):
        for name, value in network.state_dict().items():
            value = value.detach().cpu().contiguous()
            tensors[prefix + name] = value.to(dtype) if value.is_floating_point() else value
    _write(path, tensors, _to_metadata(propagation.config, info))


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
        ValueError: if the file is missing, is no checkpoint of this project, or holds other
            tensors than its networks need (every one is named); or if device, precision or
            input scale cannot be had.
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


def read_networks(path: Path) -> tuple[nn.Module, PropagationNetwork, ModelInfo]:
    """Return keyframe network, propagation network (float32, CPU) and info of a checkpoint.

    Raises:
        ValueError: as `load_model`.
    """
    metadata, tensors = _read(path)
    try:
        config, info = _from_metadata(metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected complete metadata in {path}, got: {error!r}") from error
    keyframe = build_keyframe_network(info.keyframe_network, info.classes.num_classes)
    propagation = PropagationNetwork(config)
    networks = {"keyframe.": keyframe, "propagation.": propagation}
    check_keys(
        {
            prefix + name: value
            for prefix, network in networks.items()
            for name, value in network.state_dict().items()
        },
        tensors,
        str(path),
    )
    for prefix, network in networks.items():
        state = {
            name: tensors[prefix + name].to(value.dtype)
            for name, value in network.state_dict().items()
        }
        network.load_state_dict(state)
    return keyframe, propagation, info


def store_metrics(path: Path, metrics: Mapping[str, float]) -> None:
    """Replace the figures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    metadata, tensors = _read(path)
    metadata["info"]["metrics"] = dict(metrics)
    _write(path, tensors, metadata)


def store_logit_adjustment(path: Path, bias: Sequence[float], command: str) -> None:
    """Replace the class bias in a checkpoint's metadata; the tensors stay, its metrics go.

    Args:
        path: of the checkpoint.
        bias: what is added to the logits, one value per class.
        command: all that made the weights, this one included.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    metadata, tensors = _read(path)
    metadata["info"][_STORED_LOGIT_ADJUSTMENT] = list(bias)
    metadata["info"]["metrics"] = {}  # they were of other labels
    metadata["info"]["command"] = command
    _write(path, tensors, metadata)


def store_temperatures(path: Path, temperatures: Sequence[float]) -> None:
    """Replace the temperatures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    metadata, tensors = _read(path)
    metadata["info"]["temperatures"] = list(temperatures)
    _write(path, tensors, metadata)


def store_quality(path: Path, quality: QualityModel, temperature_slope: float) -> None:
    """Replace the estimate of quality in a checkpoint's metadata; the tensors stay as they are.

    Args:
        path: of the checkpoint.
        quality: the estimate.
        temperature_slope: how the confidence follows it; see `ModelInfo`.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    metadata, tensors = _read(path)
    metadata["info"]["quality"] = dataclasses.asdict(quality)
    metadata["info"]["temperature_slope"] = temperature_slope
    _write(path, tensors, metadata)


def check_keys(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], source: str) -> None:
    """Compare the names and shapes of tensors.

    Raises:
        ValueError: naming every missing, unexpected and misshapen tensor.
    """
    differences = [f"missing {name}" for name in expected if name not in got]
    differences += [f"unexpected {name}" for name in got if name not in expected]
    differences += [
        f"{name}: expected shape {tuple(value.shape)}, got {tuple(got[name].shape)}"
        for name, value in expected.items()
        if name in got and got[name].shape != value.shape
    ]
    if differences:
        raise ValueError(f"weights of {source} do not fit the networks:\n" + "\n".join(differences))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise ValueError(f"expected a weights file, found none at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            if text is None:
                raise ValueError(
                    f"expected metadata under {_METADATA_KEY!r} in {path}, found none; published "
                    "checkpoints are converted with 'gsvnet import'"
                )
            metadata: dict[str, Any] = json.loads(text)
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"expected a readable safetensors file, got {path}: {error}") from error


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    try:
        with atomic_write(path) as partial:
            save_file(dict(tensors), partial, {_METADATA_KEY: json.dumps(metadata)})
            # safetensors makes the file private; the node may run as somebody else.
            partial.chmod(0o644)
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"expected a weights file that can be written, got {path}: {error}"
        ) from error


def _to_metadata(config: PropagationConfig, info: ModelInfo) -> dict[str, Any]:
    stored = dataclasses.asdict(info)
    stored[_STORED_LOGIT_ADJUSTMENT] = stored.pop("logit_adjustment")
    if stored["propagation_trained"]:  # as in files that are older than the attribute
        del stored["propagation_trained"]
    return {
        "version": _FORMAT_VERSION,
        "propagation": dataclasses.asdict(config),
        "info": stored,
    }


def _from_metadata(metadata: Mapping[str, Any]) -> tuple[PropagationConfig, ModelInfo]:
    if metadata["version"] != _FORMAT_VERSION:
        raise ValueError(f"expected format version {_FORMAT_VERSION}, got {metadata['version']}")
    info = dict(metadata["info"])
    classes, normalisation = info.pop("classes"), info.pop("normalisation")
    info["logit_adjustment"] = tuple(info.pop(_STORED_LOGIT_ADJUSTMENT, ()))
    if "temperatures" in info:  # JSON knows lists only
        info["temperatures"] = tuple(info["temperatures"])
    return PropagationConfig(**metadata["propagation"]), ModelInfo(
        classes=ClassTable(
            tuple(classes["names"]), tuple((r, g, b) for r, g, b in classes["palette"])
        ),
        normalisation=Normalisation(tuple(normalisation["mean"]), tuple(normalisation["std"])),
        quality=QualityModel(**info.pop("quality", {})),
        **info,
    )
