# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Networks become weights files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from gsvnet_model.checkpoint.atomic_file import atomic_write
from gsvnet_model.checkpoint.metadata import METADATA_KEY, STORED_LOGIT_ADJUSTMENT, to_metadata
from gsvnet_model.checkpoint.reader import read_file
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.scheduling.quality import QualityModel


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
    _write(path, tensors, to_metadata(propagation.config, info))


def store_metrics(path: Path, metrics: Mapping[str, float]) -> None:
    """Replace the figures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    metadata, tensors = read_file(path)
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
    metadata, tensors = read_file(path)
    metadata["info"][STORED_LOGIT_ADJUSTMENT] = list(bias)
    metadata["info"]["metrics"] = {}  # they were of other labels
    metadata["info"]["command"] = command
    _write(path, tensors, metadata)


def store_temperatures(path: Path, temperatures: Sequence[float]) -> None:
    """Replace the temperatures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    metadata, tensors = read_file(path)
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
    metadata, tensors = read_file(path)
    metadata["info"]["quality"] = dataclasses.asdict(quality)
    metadata["info"]["temperature_slope"] = temperature_slope
    _write(path, tensors, metadata)


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    try:
        with atomic_write(path) as partial:
            save_file(dict(tensors), partial, {METADATA_KEY: json.dumps(metadata)})
            # safetensors makes the file private; the node may run as somebody else.
            partial.chmod(0o644)
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"expected a weights file that can be written, got {path}: {error}"
        ) from error
