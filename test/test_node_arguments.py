# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The command lines of the nodes explain themselves and refuse what ROS would ignore."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from gsvnet_ros import camera, recorder, segmentation_node
from gsvnet_ros.node_arguments import check_node_arguments
from gsvnet_ros.parameters import SPECS


@pytest.mark.parametrize("node", [segmentation_node, camera, recorder])
def test_a_node_refuses_what_is_no_ros_argument(
    node: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["node", "--interval", "3", "--ros-args", "-p", "a:=1"])
    with pytest.raises(SystemExit) as ended:
        node.main()
    assert ended.value.code == 2
    assert "unrecognized arguments: --interval 3" in capsys.readouterr().err


def test_help_names_every_parameter_with_its_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["node", "--help"])
    with pytest.raises(SystemExit) as ended:
        segmentation_node.main()
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for spec in SPECS:
        assert f"{spec.name} (default: {spec.default!r})\n      {spec.description}" in told


@pytest.mark.parametrize(
    "given",
    [
        ["--ros-args", "-p", "a:=1", "-r", "__node:=b", "--log-level", "warn"],
        ["--ros-args", "--params-file", "/nowhere.yaml", "--"],
        ["--", "--ros-args", "--enclave", "/e"],
        ["__ns:=/old", ""],
        [],
    ],
)
def test_ros_arguments_are_left_to_ros(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["node", *given])
    check_node_arguments("node", "A node.", [])
