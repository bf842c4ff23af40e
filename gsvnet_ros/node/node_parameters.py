# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The parameter table on a node: declared, checked, and applied as a whole."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from gsvnet_ros.messages.class_messages import DATABASE_PARAMETER
from gsvnet_ros.messages.peer_text import peer_text
from gsvnet_ros.node.parameters import SPEC_BY_NAME, SPECS, Settings, make_settings, setting_values

_FOREIGN = ("use_sim_time", "start_type_description_service")
_QOS = "qos_overrides."
_MAX_NAMES = 5
"""Foreign parameters that are named in the log; more are counted."""


class NodeParameters:
    """Declares all parameters of the node and keeps `settings` equal to them.

    The node must have been built with `automatically_declare_parameters_from_overrides`,
    so that what a file or the command line gave can be looked at before it is declared.

    Args:
        node: the node.
        check: raises ValueError if the new settings (second argument) cannot follow the
            current ones (first argument); must have no side effects.
        apply: called with the new settings once they are set.

    Raises:
        ValueError: if a given value is wrong; names every one with its reason.
    """

    def __init__(
        self,
        node: LifecycleNode,
        check: Callable[[Settings, Settings], None],
        apply: Callable[[Settings], None],
    ) -> None:
        self._node = node
        self._check = check
        self._apply = apply
        self._database = ""
        self._qos_overrides: list[str] = []
        self.settings = make_settings(self._given_values())
        for spec in SPECS:
            value = setting_values(self.settings)[spec.name]
            descriptor = spec.descriptor()
            if isinstance(value, tuple):
                # An empty list has no type of its own.
                node.declare_parameter(
                    spec.name, Parameter.Type.STRING_ARRAY, descriptor, ignore_override=True
                )
                node.set_parameters([_string_array(spec.name, value)])
            else:
                node.declare_parameter(spec.name, value, descriptor, ignore_override=True)
        node.declare_parameter(
            DATABASE_PARAMETER,
            "",
            ParameterDescriptor(
                description="Id, name and RGB colour of every published class, JSON. Written by "
                "the node; set classes.merge to change it."
            ),
        )
        node.add_pre_set_parameters_callback(_with_declared_types)
        node.add_on_set_parameters_callback(self._validate)
        node.add_post_set_parameters_callback(self._changed)

    def write_database(self, database: str) -> None:
        """Set the parameter that tells the published classes."""
        self._database = database
        self._node.set_parameters([Parameter(DATABASE_PARAMETER, value=database)])

    def warn_of_unused_overrides(self) -> None:
        """Log which QoS overrides no subscription has taken up; call it once all are there."""
        unused = [name for name in self._qos_overrides if not self._node.has_parameter(name)]
        if not unused:
            return
        policies: dict[str, list[str]] = {}
        for name in sorted(self._node.get_parameters_by_prefix(_QOS.rstrip("."))):
            subscription, _, policy = name.rpartition(".")
            policies.setdefault(subscription, []).append(policy)
        known = [f"{_QOS}{name}.({'|'.join(found)})" for name, found in policies.items()]
        self._node.get_logger().warning(
            f"{' and '.join(unused)} is of no subscription; this node has {' and '.join(known)}"
        )

    def _given_values(self) -> dict[str, object]:
        """Take the overrides back off the node and return those of the table."""
        given: dict[str, object] = {}
        unknown: list[str] = []
        for name, parameter in self._node.get_parameters_by_prefix("").items():
            if name in _FOREIGN:
                continue
            self._node.undeclare_parameter(name)
            if name in SPEC_BY_NAME:
                given[name] = parameter.value
                continue
            # rclpy declares these again with the subscription, then read-only.
            if name.startswith(_QOS):
                self._qos_overrides.append(name)
                continue
            if name == DATABASE_PARAMETER:  # in a file that `ros2 param dump` wrote
                continue
            unknown.append(name)
        self._tell_unknown(unknown)
        return given

    def _tell_unknown(self, names: list[str]) -> None:
        """Log in one line which parameters were given that this node does not have."""
        # A file for all nodes (/**) has parameters of others; a misspelled one is worth a warning.
        meant = {
            name: similar[0]
            for name in names
            if (similar := difflib.get_close_matches(name, SPEC_BY_NAME, n=1, cutoff=0.8))
        }
        foreign = [peer_text(name) for name in names if name not in meant]
        if len(foreign) > _MAX_NAMES:
            foreign[_MAX_NAMES:] = [f"{len(foreign) - _MAX_NAMES} more"]
        text = " ".join(
            f"there is no parameter {peer_text(name)}; did you mean {other}?"
            for name, other in meant.items()
        )
        if meant:
            others = f" Nor of this node: {', '.join(foreign)}" if foreign else ""
            self._node.get_logger().warning(f"{text}{others}")
        elif foreign:
            self._node.get_logger().info(f"parameters of other nodes: {', '.join(foreign)}")

    def _with(self, parameters: list[Parameter[Any]]) -> Settings:
        values = setting_values(self.settings)
        values.update({p.name: p.value for p in parameters if p.name in SPEC_BY_NAME})
        return make_settings(values)

    def _validate(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            for parameter in parameters:
                if parameter.name == DATABASE_PARAMETER and parameter.value != self._database:
                    raise ValueError(
                        f"{DATABASE_PARAMETER} is written by the node; set classes.merge"
                    )
            settings = self._with(parameters)
            self._check(self.settings, settings)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _changed(self, parameters: list[Parameter[Any]]) -> None:
        settings = self._with(parameters)
        if settings != self.settings:
            self.settings = settings
            self._apply(settings)


def _with_declared_types(parameters: list[Parameter[Any]]) -> list[Parameter[Any]]:
    """Turn an integer given for a double, and an empty list of any type, into the right type."""
    typed = []
    for parameter in parameters:
        spec = SPEC_BY_NAME.get(parameter.name)
        if spec and spec.type_name == "double" and parameter.type_ == Parameter.Type.INTEGER:
            parameter = Parameter(parameter.name, Parameter.Type.DOUBLE, float(parameter.value))
        elif spec and spec.type_name == "string[]" and _is_empty_list(parameter):
            parameter = _string_array(parameter.name, ())
        typed.append(parameter)
    return typed


def _is_empty_list(parameter: Parameter[Any]) -> bool:
    # The command line can write [''], but no empty list of strings.
    return parameter.type_.name.endswith("_ARRAY") and list(parameter.value) in ([], [""])


def _string_array(name: str, texts: tuple[str, ...]) -> Parameter[Any]:
    return Parameter(name, Parameter.Type.STRING_ARRAY, list(texts))
