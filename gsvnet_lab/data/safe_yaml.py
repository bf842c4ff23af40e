# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""YAML of bounded cost: a small file that anyone may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_YAML_BYTES = 32_768
"""The largest recipe has 2 KB. Scanning so many bytes takes half a second."""
MAX_DEPTH = 20
"""Lists and mappings in one another."""

_MAX_MESSAGE = 300


class BoundedLoader(yaml.SafeLoader):
    """Loads plain data as `yaml.SafeLoader`, without aliases and not nested deeper than needed.

    A few aliases of aliases make billions of values of a few hundred bytes, and the scanner looks
    at every open bracket again for each one that follows.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "found an alias; write the values out", event.start_mark
            )
        return super().compose_node(parent, index)

    def fetch_flow_collection_start(self, token_class: Any) -> None:
        """Refuse too many brackets in one another."""
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(token_class)

    def add_indent(self, column: int) -> bool:
        """Refuse too many indented blocks in one another."""
        self._check_depth(len(self.indents))
        return bool(super().add_indent(column))

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse keys that are no texts: dates, numbers, lists."""
        content = super().construct_mapping(node, deep)
        for key in content:
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, "found a key that is no text", node.start_mark
                )
        return content

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse numbers that nobody counts to: even to print them takes long."""
        number = super().construct_yaml_int(node)
        if abs(number) >= 1 << 63:
            raise yaml.constructor.ConstructorError(
                None, None, "found a number of more than 64 bits", node.start_mark
            )
        return number

    def _check_depth(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise yaml.scanner.ScannerError(
                None, None, f"found more than {MAX_DEPTH} levels", self.get_mark()
            )


BoundedLoader.add_constructor("tag:yaml.org,2002:int", BoundedLoader.construct_yaml_int)


def load_yaml(path: Path, loader: type[BoundedLoader] = BoundedLoader) -> Any:
    """Return the content of a YAML file.

    Args:
        path: of the file.
        loader: what reads the kinds of values.

    Raises:
        ValueError: if there is no such file, or it is too large, nested too deeply, or no YAML;
            in one line of at most 300 characters.
    """
    if not path.is_file():
        raise ValueError(f"expected a YAML file, found none at {path}")
    with path.open("rb") as file:
        content = file.read(MAX_YAML_BYTES + 1)
    if len(content) > MAX_YAML_BYTES:
        raise ValueError(f"{path}: expected YAML of at most {MAX_YAML_BYTES} bytes, got more")
    try:
        return yaml.load(content, loader)
    # Values break their constructors in other ways too: dates of month 13, keys that are lists.
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        text = " ".join(str(error).split())[:_MAX_MESSAGE]  # YAML's errors are of several lines
        shown = "".join(letter if letter.isprintable() else "?" for letter in text)
        raise ValueError(f"{path}: expected YAML, got: {shown}") from error
