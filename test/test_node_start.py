# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Starts as users start nodes: from a service, by a manager, with a file for all nodes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ros_process import START_S, Peer

from gsvnet_ros.node.parameters import make_settings
from gsvnet_ros.startup.log_folder import ensure_log_folder
from gsvnet_ros.startup.processes import LoggedProcess

FOREIGN = {f"driver_{name}": 1 for name in ("gain", "port", "speed", "baud", "delay", "mode", "id")}


def test_a_file_for_all_nodes_a_home_folder_and_a_manager(
    ros: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_path: Path
) -> None:
    shutil.copy(weights_path, tmp_path / "mine.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "all.yaml"
    values = {**FOREIGN, "model": {"weights": "~/mine.safetensors", "device": "cpu"}}
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    arguments = ["--ros-args", "--params-file", str(file), "-r", "__ns:=/started"]
    log = tmp_path / "log.txt"
    process = LoggedProcess("node", "gsvnet_ros.segmentation_node", arguments, log)
    peer = Peer("/started")
    try:
        peer.wait(lambda: "serving /started/image" in log.read_text(), START_S)
        (line,) = (line for line in log.read_text().splitlines() if "driver_" in line)
        assert "parameters of other nodes: " in line and "2 more" in line and "WARN" not in line
        for transition in ("configure", "activate", "configure"):
            assert not peer.change_state(transition)
        assert peer.state() == "active"
        (line,) = (line for line in log.read_text().splitlines() if "refused" in line)
        assert "refused to configure: this node is active, as it starts by itself" in line
        assert "autostart:=false" in line
        assert "ERROR" not in log.read_text()
        # Others of its transitions are a manager's all the same.
        assert peer.change_state("deactivate")
        assert not peer.change_state("configure")
        assert peer.change_state("activate")
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()


def test_the_home_folder_is_the_users() -> None:
    path = make_settings({"model.weights": "~/weights.safetensors"}).model_weights
    assert path == os.path.expanduser("~/weights.safetensors")
    assert make_settings({"model.weights": "a~b"}).model_weights == "a~b"


@pytest.mark.parametrize("home", [None, "/proc/no/home"])
def test_a_service_without_a_home_folder_starts(home: str | None) -> None:
    """As far as its parameters, the first thing that it looks at."""
    environment = dict(os.environ)
    for name in ("HOME", "ROS_HOME", "ROS_LOG_DIR"):
        environment.pop(name, None)
    if home is not None:
        environment["HOME"] = home
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "gsvnet_ros.segmentation_node"),
            *("--ros-args", "-p", "keyframe.interval:=0"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert ended.stderr.splitlines()[-1].startswith(
        "segmentation: cannot start: keyframe.interval: expected a value from 1 to 1000"
    ), ended.stderr
    if home is not None:
        told = ended.stderr.splitlines()[0]
        assert "logs go to /" in told and "set ROS_LOG_DIR" in told
        shutil.rmtree(told.split("logs go to ")[1].split(": ")[0])


def test_a_log_folder_that_was_chosen_stays(tmp_path: Path) -> None:
    environment = {"ROS_LOG_DIR": str(tmp_path / "logs"), "HOME": "/proc/no/home"}
    assert ensure_log_folder(environment) == ""
    assert environment["ROS_LOG_DIR"] == str(tmp_path / "logs")
