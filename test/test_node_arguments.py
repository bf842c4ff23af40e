# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The command lines of the nodes explain themselves and refuse what ROS would ignore."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from gsvnet_ros import segmentation_node
from gsvnet_ros.node.parameters import SPECS
from gsvnet_ros.startup.node_arguments import check_node_arguments
from gsvnet_ros.tools import camera, recorder

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """What a node changes about signals in the process of the tests is changed back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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


def run_node(name: str, folder: Path, **parameters: str) -> subprocess.CompletedProcess[str]:
    """Run camera or recorder in a folder until it ends."""
    given = [text for key, value in parameters.items() for text in ("-p", f"{key}:={value}")]
    return subprocess.run(
        [sys.executable, "-m", f"gsvnet_ros.tools.{name}", "--ros-args", *given],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_camera_takes_whole_numbers_for_texts_and_doubles(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    cv2.imwrite(str(tmp_path / "0" / "1.png"), np.zeros((32, 48, 3), np.uint8))
    ended = run_node("camera", tmp_path, source="0", rate="15", subscribers="0")
    assert ended.returncode == 0, ended.stderr
    assert "publishing at 15 Hz" in ended.stderr
    assert "published 1 images" in ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("rate", "fast", "rate: expected double, got 'fast'"),
        ("frames", "1.5", "frames: expected integer, got 1.5"),
        ("lockstep", "1", "lockstep: expected bool, got 1"),
        ("source", "true", "source: expected string, got True"),
        ("width", "[1, 2]", "width: expected integer, got"),
        ("jpeg_quality", "0", "jpeg_quality: expected a value from 1 to 100, got 0"),
        ("jpeg_quality", "101", "jpeg_quality: expected a value from 1 to 100, got 101"),
    ],
)
def test_camera_refuses_a_wrong_value_in_one_line(
    tmp_path: Path, name: str, value: str, why: str
) -> None:
    ended = run_node("camera", tmp_path, **{name: value})
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"camera: {why}")


def test_recorder_refuses_a_wrong_value_in_one_line(tmp_path: Path) -> None:
    ended = run_node("recorder", tmp_path, output="[1, 2]")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("recorder: output: expected string, got ")


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
