# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Recipes on disk: one YAML file per model, read strictly into its dataclass."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gsvnet_lab.data.safe_yaml import load_yaml

Recipe = TypeVar("Recipe")

_KINDS = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}


def read_recipe(path: Path, recipe_type: type[Recipe]) -> Recipe:
    """Read a recipe of one part; see `read_parts`.

    Raises:
        ValueError: as there, or if it has several parts.
    """
    first, *others = read_parts(path, recipe_type)
    if others:
        raise ValueError(f"{path}: expected a recipe of one part, got {1 + len(others)}")
    return first


def read_parts(path: Path, recipe_type: type[Recipe]) -> list[Recipe]:
    """Read the parts of a training that follow one another.

    What the file gives counts for all parts, what `parts`, a list of mappings, gives for one of
    them; the rest keeps its default. Without `parts` there is one.

    Raises:
        ValueError: if the file is missing, is not a mapping, or has a key or value that the
            recipe does not know.
    """
    content = load_yaml(path)
    try:
        if not isinstance(content, Mapping):
            raise ValueError(f"expected a mapping for {recipe_type.__name__}, got {content!r}")
        shared = {name: value for name, value in content.items() if name != "parts"}
        parts = content.get("parts", [{}])
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"parts: expected a list of mappings, got {parts!r}")
        return [_build(recipe_type, _merged(shared, part)) for part in parts]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _merged(shared: Any, own: Any) -> Any:
    """Return a value of a part: its own; of mappings key by key."""
    if not isinstance(shared, Mapping) or not isinstance(own, Mapping):
        return own
    return {
        name: _merged(shared.get(name), own[name]) if name in own else shared[name]
        for name in {**shared, **own}
    }


def _build(recipe_type: type[Recipe], content: Any) -> Recipe:
    if not isinstance(content, Mapping):
        raise ValueError(f"expected a mapping for {recipe_type.__name__}, got {content!r}")
    hints = typing.get_type_hints(recipe_type)
    names = [item.name for item in dataclasses.fields(recipe_type)]  # type: ignore[arg-type]
    unknown = sorted(set(content) - set(names))
    if unknown:
        raise ValueError(f"{recipe_type.__name__}: expected keys out of {names}, got {unknown}")
    return recipe_type(
        **{name: _convert(name, hints[name], value) for name, value in content.items()}
    )


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _convert(name: str, hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _build(hint, value)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_convert(name, item, element) for element in value)
    if hint is float and isinstance(value, str):  # YAML takes 1e-3 for a text: it wants 1.0e-3
        value = _number(value)
    if hint is float and type(value) is int:
        value = float(value)
    if hint in _KINDS and type(value) is not hint:
        raise ValueError(f"{name}: expected {_KINDS[hint]}, got {value!r}")
    return value
