# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Parameters that camera and recorder take when they start, as people write them."""

from __future__ import annotations

from typing import Any, TypeAlias

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

Value: TypeAlias = bool | int | float | str


def start_parameter(node: Node, name: str, default: Value, description: str) -> Value:
    """Declare a parameter that does not change and return its value.

    Raises:
        ValueError: if what was given has another type than the default, and is no integer for a
            double or a text.
    """
    # Of any type: rclpy would not take 15 for 15.0, nor the number of a camera for a text.
    descriptor = ParameterDescriptor(description=description, read_only=True, dynamic_typing=True)
    given: Any = node.declare_parameter(name, default, descriptor).value
    wanted = type(default)
    if type(given) is int and wanted in (float, str):
        given = wanted(given)
    if type(given) is not wanted:
        type_name = {bool: "bool", int: "integer", float: "double", str: "string"}[wanted]
        raise ValueError(f"{name}: expected {type_name}, got {given!r}")
    value: Value = given
    return value
