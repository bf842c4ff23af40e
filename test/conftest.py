# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What several tests share: an isolated ROS domain, weights, and one running node."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import pytest
import rclpy
import torch
from ros_process import INTERVAL, CameraPeer, image_message, scene

from gsvnet_model.checkpoint import save_model
from gsvnet_model.classes import CAMVID
from gsvnet_model.keyframe import build_keyframe_network
from gsvnet_model.model import ModelInfo
from gsvnet_model.preprocessing import Normalisation
from gsvnet_model.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.street_drive import StreetDrive
from gsvnet_ros.benchmark.nodes import start_node
from gsvnet_ros.processes import LoggedProcess

# Before any ROS context, and inherited by every node that a test starts.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 100))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
_LOG_FOLDER = tempfile.TemporaryDirectory(prefix="gsvnet_ros_log_")  # removed at exit
os.environ["ROS_LOG_DIR"] = _LOG_FOLDER.name


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of real networks with random weights."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    keyframe = build_keyframe_network("swiftnet_r18", CAMVID.num_classes)
    propagation = PropagationNetwork(PropagationConfig(CAMVID.num_classes))
    info = ModelInfo("swiftnet_r18", CAMVID, Normalisation.swiftnet())
    save_model(path, keyframe, propagation, info, torch.float16)
    return path


def _write_street(folder: Path, frames: Iterable[int]) -> None:
    """Write frames of a rendered street as one split of a data folder in CamVid's layout."""
    drive = StreetDrive(7, 96, 128)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for index in frames:
        frame = drive.frame(index)
        image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "images" / f"{index:03d}.png"), image)
        cv2.imwrite(str(folder / "labels" / f"{index:03d}.png"), frame.labels)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in CamVid's layout: a clip of a rendered street."""
    root = tmp_path_factory.mktemp("camvid")
    (root / "train" / "images").mkdir(parents=True)
    _write_street(root / "val", range(4))
    return root


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in CamVid's layout: five stills of a rendered street and a clip of it."""
    root = tmp_path_factory.mktemp("training")
    _write_street(root / "train", range(0, 50, 10))
    _write_street(root / "val", range(50, 56))
    return root


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
