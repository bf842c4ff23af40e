# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Recipes on disk: one YAML file per model, read strictly into its pydantic dataclass."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from gsvnet_lab.data.safe_yaml import BoundedLoader, load_yaml
from gsvnet_model.checkpoint.quoted import quoted

RECIPE_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of every recipe: unknown keys, infinity and NaN are refused."""

Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

Recipe = TypeVar("Recipe")

_MAX_LINES = 10
"""So many wrong fields of a part are told."""

_EXPECTED = {
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "too_long": "a list of at most {max_length}",
    "missing": "a value",
    "dataclass_type": "a mapping",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "unexpected_keyword_argument": "no such key: leave it out, or correct its name",
}
"""What an error of pydantic's says of the value that it would have taken."""


def read_recipe(path: Path, recipe_type: type[Recipe]) -> Recipe:
    """Read a recipe of one part; see `read_parts`.

    Raises:
        ValueError: if `read_parts` refuses the file, or it has several parts.
    """
    first, *others = read_parts(path, recipe_type)
    if others:
        raise ValueError(f"{path}: expected a recipe of one part, got {1 + len(others)}")
    return first


def read_parts(path: Path, recipe_type: type[Recipe]) -> list[Recipe]:
    """Read the parts of a training that follow one another.

    Keys at the top of the file hold for all parts. The key `parts`, a list of mappings, gives what
    holds for one of them. Everything else keeps its default. Without `parts` there is one part.

    Args:
        path: YAML file.
        recipe_type: pydantic dataclass of the recipe.

    Returns:
        One recipe per part, in order.

    Raises:
        ValueError: if the file is missing, is no YAML mapping, or has a key or a value that the
            recipe does not take; one line for each.
    """
    content = load_yaml(path, _RecipeLoader)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a mapping of keys to values, got {quoted(content)}")
    shared = {name: value for name, value in content.items() if name != "parts"}
    parts = content.get("parts", [{}])
    if not isinstance(parts, list) or not parts:
        raise ValueError(f"{path}: parts: expected a list of mappings, got {quoted(parts)}")
    recipes = []
    for number, part in enumerate(parts, start=1):
        merged = json.dumps(_merged(shared, part), default=str)
        try:
            # As JSON, in which pydantic's strict mode takes lists for tuples.
            recipes.append(TypeAdapter(recipe_type).validate_json(merged, strict=True))
        except ValidationError as error:
            where = f"{path}, part {number}" if len(parts) > 1 else str(path)
            lines = [f"{where}: {line}" for line in _error_lines(error)]
            if len(lines) > _MAX_LINES:
                lines[_MAX_LINES:] = [f"{where}: and {len(lines) - _MAX_LINES} more"]
            raise ValueError("\n".join(lines)) from error
    return recipes


class _RecipeLoader(BoundedLoader):
    """Reads 1e-3 as the number that YAML 1.2 takes it for."""


_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+"),
    list("-+.0123456789"),
)


def _merged(shared: Any, own: Any) -> Any:
    """Return the value of a part: its own one; of two mappings, merged key by key."""
    if not isinstance(shared, Mapping) or not isinstance(own, Mapping):
        return own
    return {
        name: _merged(shared.get(name), own[name]) if name in own else shared[name]
        for name in {**shared, **own}
    }


def _error_lines(error: ValidationError) -> Iterator[str]:
    """Yield one line for each wrong field: its name, what was expected, what came."""
    for found in error.errors(include_url=False):
        name = ".".join(quoted(str(part))[1:-1] for part in found["loc"])
        prefix = f"{name}: " if name else ""
        if found["type"] == "value_error":  # raised by a check of our own, which says it all
            yield prefix + str(found["ctx"]["error"])
            continue
        expected = _EXPECTED.get(found["type"], found["msg"]).format(**found.get("ctx", {}))
        got = "none" if found["type"] == "missing" else quoted(found["input"])
        yield f"{prefix}expected {expected}, got {got}"
