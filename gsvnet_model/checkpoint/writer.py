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
from safetensors.torch import save
from torch import Tensor, nn

from gsvnet_model.checkpoint.atomic_file import atomic_write
from gsvnet_model.checkpoint.metadata import (
    METADATA_KEY,
    STORED_LOGIT_ADJUSTMENT,
    decode_metadata,
    from_metadata,
    to_metadata,
)
from gsvnet_model.checkpoint.reader import check_values, network_tensors, read_file
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
        ValueError: if the file cannot be written, or would not be loaded again: values that are
            not finite in `dtype`, or metadata that makes no sense.
    """
    tensors = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in network_tensors(keyframe, propagation).items()
    }
    for name, value in tensors.items():
        check_values(name, value, str(path))
    _write(path, tensors, to_metadata(propagation.config, info))


def store_metrics(path: Path, metrics: Mapping[str, float]) -> None:
    """Replace the figures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    _replace(path, {"metrics": dict(metrics)})


def store_logit_adjustment(path: Path, bias: Sequence[float], command: str) -> None:
    """Replace the class bias in a checkpoint's metadata; the tensors stay, its metrics go.

    Args:
        path: of the checkpoint.
        bias: what is added to the logits, one value per class.
        command: all that made the weights, this one included.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    stale_metrics: dict[str, float] = {}  # they were measured with other labels
    _replace(
        path, {STORED_LOGIT_ADJUSTMENT: list(bias), "metrics": stale_metrics, "command": command}
    )


def store_temperatures(path: Path, temperatures: Sequence[float]) -> None:
    """Replace the temperatures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    _replace(path, {"temperatures": list(temperatures)})


def store_quality(path: Path, quality: QualityModel, temperature_slope: float) -> None:
    """Replace the estimate of quality in a checkpoint's metadata; the tensors stay as they are.

    Args:
        path: of the checkpoint.
        quality: the estimate.
        temperature_slope: how the confidence follows it; see `ModelInfo`.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    _replace(path, {"quality": dataclasses.asdict(quality), "temperature_slope": temperature_slope})


def _replace(path: Path, fields: Mapping[str, Any]) -> None:
    """Replace fields of the info in the metadata of a weights file."""
    content = read_file(path)
    info = {**content.metadata["info"], **fields}
    _write(path, content.tensors, {**content.metadata, "info": info})


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    text = json.dumps(metadata)
    from_metadata(decode_metadata(text))
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        with atomic_write(path) as partial:
            partial.write_bytes(save(stored, {METADATA_KEY: text}))
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"expected a weights file that can be written, got {path}: {error}"
        ) from error
