# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Weights files become networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gsvnet_model.checkpoint.metadata import METADATA_KEY, from_metadata
from gsvnet_model.hardware.device import AUTO, choose_device, choose_precision
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationNetwork

DEFAULT_WEIGHTS = "ddrnet23_slim_camvid.safetensors"
"""File name of the weights that the installed package carries."""


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
        ValueError: if the file is missing, is no checkpoint of this project, or holds other
            tensors than its networks need (every one is named); or if device, precision or
            input scale cannot be had.
    """
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    keyframe, propagation, info = read_networks(default_weights() if path is None else Path(path))
    if input_scale is not None:
        info = info.at_scale(input_scale)
    return SegmentationModel(keyframe, propagation, info, chosen_device, chosen_precision)


def read_networks(path: Path) -> tuple[nn.Module, PropagationNetwork, ModelInfo]:
    """Return keyframe network, propagation network (float32, CPU) and info of a checkpoint.

    Raises:
        ValueError: as `load_model`.
    """
    metadata, tensors = read_file(path)
    try:
        config, info = from_metadata(metadata)
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


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the metadata and the tensors of a weights file as they are stored.

    Raises:
        ValueError: if the file is missing or is no checkpoint of this project.
    """
    if not path.is_file():
        raise ValueError(f"expected a weights file, found none at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise ValueError(
                    f"expected metadata under {METADATA_KEY!r} in {path}, found none; published "
                    "checkpoints are converted with 'gsvnet import'"
                )
            metadata: dict[str, Any] = json.loads(text)
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"expected a readable safetensors file, got {path}: {error}") from error
