# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What source files import, read from the files without running them."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ROOMS = ("gsvnet_model", "gsvnet_offline", "gsvnet_lab", "street_drive", "gsvnet_ros")
"""The top-level packages of the repository."""

NODE_FILES = (
    "gsvnet_ros/segmentation_node.py",
    "gsvnet_ros/node",
    "gsvnet_ros/health",
    "gsvnet_ros/messages",
    "gsvnet_ros/startup",
    "gsvnet_ros/__init__.py",
)
"""The files and folders of `gsvnet_ros` that the node is made of; the tools are the rest."""


def source_files(place: str) -> list[Path]:
    """Return the Python files of a folder, or the one file, by its path in the repository."""
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imported_names(path: Path, root: Path = ROOT) -> set[str]:
    """Return the dotted names of everything that a file imports.

    Imports inside functions count, and so do names that are given to `import_module` as they are.
    `from a import b` gives a.b, whether b is a module or not.

    Args:
        path: the file.
        root: the folder that holds its top-level package.
    """
    nodes = ast.walk(ast.parse(path.read_text()))
    folders = path.relative_to(root).parts
    return {name for node in nodes for name in _names(node, folders)}


def _names(node: ast.AST, path: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = path[: -node.level] if node.level else ()
        module = ".".join([*package, *filter(None, [node.module])])
        return [f"{module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return []
