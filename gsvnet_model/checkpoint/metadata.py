# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The metadata of weights files: what belongs to the networks, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gsvnet_model.images.preprocessing import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationConfig
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.scheduling.quality import QualityModel

METADATA_KEY = "gsvnet"
"""Name of the text among the metadata of safetensors files."""

_FORMAT_VERSION = 1

STORED_LOGIT_ADJUSTMENT = "class_bias"
"""Name of `ModelInfo.logit_adjustment` in files; older than the attribute's."""


def to_metadata(config: PropagationConfig, info: ModelInfo) -> dict[str, Any]:
    """Return what is stored."""
    stored = dataclasses.asdict(info)
    stored[STORED_LOGIT_ADJUSTMENT] = stored.pop("logit_adjustment")
    return {
        "version": _FORMAT_VERSION,
        "propagation": dataclasses.asdict(config),
        "info": stored,
    }


def from_metadata(metadata: Mapping[str, Any]) -> tuple[PropagationConfig, ModelInfo]:
    """Return what the stored values mean."""
    if metadata["version"] != _FORMAT_VERSION:
        raise ValueError(f"expected format version {_FORMAT_VERSION}, got {metadata['version']}")
    info = dict(metadata["info"])
    classes, normalisation = info.pop("classes"), info.pop("normalisation")
    info["logit_adjustment"] = tuple(info.pop(STORED_LOGIT_ADJUSTMENT, ()))
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
