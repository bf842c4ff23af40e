# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Merging of classes, for a consumer that needs fewer classes than the model has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX, ClassTable

REST = "*"
"""As a member of a group: all classes that no other group names."""


@dataclass(frozen=True)
class MergedClasses:
    """The classes that a consumer sees, and which of them every class of the model becomes.

    Attributes:
        table: names and colours of the merged classes.
        lookup: (256,) uint8, the merged id of every class id of the model; 255 (unlabeled) for a
            class that is in no group and for ids that are no class.
        changes_ids: whether the merged id of any class differs from its id in the model.
    """

    table: ClassTable
    lookup: NDArray[np.uint8]
    changes_ids: bool


def parse_group(group: str) -> tuple[str, tuple[str, ...]]:
    """Split a group into its name and its members.

    Args:
        group: text of the form `"new name: class, class"`.

    Raises:
        ValueError: if the text does not have this form.
    """
    name, colon, members_text = group.partition(":")
    members = tuple(member.strip() for member in members_text.split(",") if member.strip())
    if not colon or not name.strip() or not members:
        raise ValueError(
            f"expected a group of the form 'new name: class, class', got '{group}'; "
            f"'{REST}' as a class takes all classes that no group names"
        )
    return name.strip(), members


def merge_classes(classes: ClassTable, groups: Sequence[str]) -> MergedClasses:
    """Merge classes into groups, which are numbered in the order given.

    A class that no group names becomes unlabeled (255). A group has the colour of its first
    member. Without groups the classes stay as they are.

    Args:
        classes: the classes of the model.
        groups: texts of the form `"new name: class, class"`; the member `"*"` stands for all
            classes that no group names.

    Raises:
        ValueError: for a class that the model does not have, for a class or a group name that is
            given twice, for a group without classes, and for a text of another form.
    """
    parsed = [parse_group(group) for group in groups]
    if not parsed:
        return MergedClasses(classes, _identity(classes.num_classes), changes_ids=False)
    names = [name for name, _ in parsed]
    if len(set(names)) != len(names):
        raise ValueError(f"expected every group name once, got {names}")
    named = [member for _, members in parsed for member in members]
    for member in named:
        if named.count(member) > 1:
            raise ValueError(f"expected every class in one group, got '{member}' twice")
        if member != REST and member not in classes.names:
            raise ValueError(
                f"expected classes of the model ({', '.join(classes.names)}), got '{member}'"
            )
    rest = tuple(name for name in classes.names if name not in named)
    lookup = np.full(256, IGNORE_INDEX, np.uint8)
    palette = []
    for merged_id, (name, members) in enumerate(parsed):
        ids = [
            classes.names.index(class_name)
            for member in members
            for class_name in (rest if member == REST else (member,))
        ]
        if not ids:
            raise ValueError(f"expected at least one class in group '{name}', got none left")
        lookup[ids] = merged_id
        palette.append(classes.palette[ids[0]])
    changes_ids = bool((lookup != _identity(classes.num_classes)).any())
    return MergedClasses(ClassTable(tuple(names), tuple(palette)), lookup, changes_ids)


def _identity(num_classes: int) -> NDArray[np.uint8]:
    lookup = np.full(256, IGNORE_INDEX, np.uint8)
    lookup[:num_classes] = np.arange(num_classes)
    return lookup
