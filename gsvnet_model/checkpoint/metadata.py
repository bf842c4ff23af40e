# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The metadata of weights files: what belongs to the networks, as JSON.

A file may come from anyone, so every value is checked before anything is made of it: kinds and
lengths here, ranges by the objects that are made.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from gsvnet_model.checkpoint.quoted import quoted
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationConfig
from gsvnet_model.outputs.classes import MAX_CLASSES, ClassTable
from gsvnet_model.scheduling.quality import QualityModel

METADATA_KEY = "gsvnet"
"""Name of the text among the metadata of safetensors files."""

STORED_LOGIT_ADJUSTMENT = "class_bias"
"""Name of `ModelInfo.logit_adjustment` in files; older than the attribute's."""

MAX_INTRA_CHANNELS = 1024
"""The widest intra network that a file may ask for; it takes 60 MB."""

_FORMAT_VERSION = 1
_MAX_DIGITS = 18
_MAX_NAME = 128
_MAX_COMMAND = 20_000
_MAX_ITEMS = 1000

_Reader: TypeAlias = Callable[[Any, str], Any]
"""Takes a value and its name, returns what is made of it or raises ValueError."""


def to_metadata(config: PropagationConfig, info: ModelInfo) -> dict[str, Any]:
    """Return the content of the metadata, for JSON."""
    stored = dataclasses.asdict(info)
    stored[STORED_LOGIT_ADJUSTMENT] = stored.pop("logit_adjustment")
    if stored["propagation_trained"]:  # as in files that are older than the attribute
        del stored["propagation_trained"]
    return {
        "version": _FORMAT_VERSION,
        "propagation": dataclasses.asdict(config),
        "info": stored,
    }


def decode_metadata(text: str) -> Any:
    """Return the content of JSON text, nothing of which is checked yet.

    Raises:
        ValueError: if the text is no JSON, or nested or with numbers as nobody would write them.
    """
    try:
        return json.loads(text, parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata: expected JSON, got {quoted(text)}: {error}") from error


def from_metadata(content: object) -> tuple[PropagationConfig, ModelInfo]:
    """Return what the content of the metadata means.

    Raises:
        ValueError: naming the first value that misses, is unknown or makes no sense.
    """
    parts = {"version": _whole, "propagation": _propagation, "info": _info}
    read = _read(content, "metadata", parts, required=parts)
    if read["version"] != _FORMAT_VERSION:
        raise ValueError(f"metadata: expected version {_FORMAT_VERSION}, got {read['version']}")
    config, info = read["propagation"], read["info"]
    if config.num_classes != info.classes.num_classes:
        raise ValueError(
            f"metadata: expected a propagation network of {info.classes.num_classes} classes, "
            f"got {config.num_classes}"
        )
    return config, info


def _propagation(value: object, name: str) -> PropagationConfig:
    readers: dict[str, _Reader] = {
        "num_classes": _whole,
        "kernel_size": _whole,
        "learned_kernels": _flag,
        "use_intra": _flag,
        "edge": _name,
        "intra_channels": _whole,
    }
    config = PropagationConfig(**_read(value, name, readers, required=("num_classes",)))
    if config.intra_channels > MAX_INTRA_CHANNELS:
        raise ValueError(
            f"{name}.intra_channels: expected at most {MAX_INTRA_CHANNELS}, "
            f"got {config.intra_channels}"
        )
    return config


def _info(value: object, name: str) -> ModelInfo:
    readers: dict[str, _Reader] = {
        "keyframe_network": _name,
        "classes": _classes,
        "normalisation": _normalisation,
        "input_scale": _number,
        "max_input_pixels": _whole,
        "input_stride": _whole,
        "grid_stride": _whole,
        "grid_filter": _name,
        STORED_LOGIT_ADJUSTMENT: _numbers,
        "temperatures": _numbers,
        "temperature_slope": _number,
        "quality": _quality,
        "propagation_trained": _flag,
        "metrics": _numbers_by_name,
        "command": _command,
    }
    required = ("keyframe_network", "classes", "normalisation")
    fields = _read(value, name, readers, required)
    if STORED_LOGIT_ADJUSTMENT in fields:
        fields["logit_adjustment"] = fields.pop(STORED_LOGIT_ADJUSTMENT)
    return ModelInfo(**fields)


def _classes(value: object, name: str) -> ClassTable:
    readers: dict[str, _Reader] = {
        "names": lambda names, path: _tuple(names, path, _name, MAX_CLASSES),
        "palette": lambda colours, path: _tuple(colours, path, _colour, MAX_CLASSES),
    }
    return ClassTable(**_read(value, name, readers, required=readers))


def _normalisation(value: object, name: str) -> Normalisation:
    readers: dict[str, _Reader] = {"mean": _triple, "std": _triple}
    return Normalisation(**_read(value, name, readers, required=readers))


def _quality(value: object, name: str) -> QualityModel:
    readers: dict[str, _Reader] = {
        "linear": _numbers_by_name,
        "root": _numbers_by_name,
        "cut": _numbers_by_name,
        "cut_bias": _number,
    }
    return QualityModel(**_read(value, name, readers, required=()))


def _read(
    value: object, name: str, readers: Mapping[str, _Reader], required: Collection[str]
) -> dict[str, Any]:
    """Return a mapping with each value read by the reader of its key."""
    content = _mapping(value, name)
    for key in required:
        if key not in content:
            raise ValueError(f"{name}: expected {key!r}, which is missing")
    for key in content:
        if key not in readers:
            raise ValueError(f"{name}: expected keys out of {list(readers)}, got {quoted(key)}")
    return {key: readers[key](item, f"{name}.{key}") for key, item in content.items()}


def _mapping(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a mapping, got {quoted(value)}")
    return value


def _tuple(value: object, name: str, read: _Reader, largest: int) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > largest:
        raise ValueError(
            f"{name}: expected a list of at most {largest} values, got {quoted(value)}"
        )
    return tuple(read(item, f"{name}[{index}]") for index, item in enumerate(value))


def _triple(value: object, name: str) -> tuple[Any, ...]:
    values = _tuple(value, name, _number, 3)
    if len(values) != 3:
        raise ValueError(f"{name}: expected three numbers, got {quoted(values)}")
    return values


def _colour(value: object, name: str) -> tuple[Any, ...]:
    return _tuple(value, name, _whole, 3)


def _numbers(value: object, name: str) -> tuple[Any, ...]:
    return _tuple(value, name, _number, _MAX_ITEMS)


def _numbers_by_name(value: object, name: str) -> dict[str, float]:
    content = _mapping(value, name)
    if len(content) > _MAX_ITEMS:
        raise ValueError(f"{name}: expected at most {_MAX_ITEMS} values, got {len(content)}")
    return {_name(key, name): _number(item, f"{name}[{key!r}]") for key, item in content.items()}


def _name(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= _MAX_NAME:
        raise ValueError(
            f"{name}: expected a printable name of at most {_MAX_NAME} characters, "
            f"got {quoted(value)}"
        )
    return value


def _command(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_COMMAND:
        raise ValueError(
            f"{name}: expected a text of at most {_MAX_COMMAND} characters, got {quoted(value)}"
        )
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {quoted(value)}")
    return value


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}: expected a whole number, got {quoted(value)}")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {quoted(value)}")
    return value


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)
