# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One running node for many tests, and a camera for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from ros_process import INTERVAL, CameraPeer, image_message, scene

from gsvnet_ros.startup.processes import LoggedProcess
from gsvnet_ros.tools.benchmark.nodes import start_node


@pytest.fixture(scope="session")
def ros() -> Iterator[None]:
    """ROS in the test's own process."""
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.fixture(scope="session")
def node(
    ros: None, weights_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoggedProcess]:
    """One running node for all tests that leave it as they found it."""
    process = start_node(
        tmp_path_factory.mktemp("node") / "log.txt",
        {
            "model.weights": str(weights_path),
            "model.device": "cpu",
            "model.precision": "float32",
            "keyframe.interval": INTERVAL,
        },
    )
    yield process
    assert process.stop() == 0, process.log_tail()


@pytest.fixture(scope="session")
def camera_of_session(node: LoggedProcess) -> Iterator[CameraPeer]:
    """The camera of the running node; use `camera`."""
    peer = CameraPeer()
    peer.warm_up(image_message(scene(0)))
    yield peer
    peer.close()


@pytest.fixture
def camera(camera_of_session: CameraPeer) -> CameraPeer:
    """The camera of the running node, whose next frame starts anew."""
    camera_of_session.reset()
    return camera_of_session
