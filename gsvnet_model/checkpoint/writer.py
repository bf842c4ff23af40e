# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Networks become weights files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from gsvnet_model.checkpoint.atomic_file import atomic_write
from gsvnet_model.checkpoint.metadata import (
    METADATA_KEY,
    decode_metadata,
    from_metadata,
    to_metadata,
)
from gsvnet_model.checkpoint.reader import check_values, network_tensors, read_file
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork


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


def replace_info(path: Path, fields: Mapping[str, Any]) -> None:
    """Replace fields of the info in a weights file's metadata; the tensors stay as they are.

    Args:
        path: safetensors file.
        fields: new values by their name in the metadata.

    Raises:
        ValueError: if the file is no checkpoint of this project, or the values make no sense.
    """
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
