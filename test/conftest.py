# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What several tests share: weights, data, and where there is ROS an isolated domain of it."""

from __future__ import annotations

import importlib.util
import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import pytest
import torch

from gsvnet_model.checkpoint import save_model
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.outputs.classes import CAMVID
from street_drive import StreetDrive

# Before any ROS context, and inherited by every node that a test starts.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 100))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
_LOG_FOLDER = tempfile.TemporaryDirectory(prefix="gsvnet_ros_log_")  # removed at exit
os.environ["ROS_LOG_DIR"] = _LOG_FOLDER.name

# Tests of the library run without ROS, on a machine with a GPU for example.
if importlib.util.find_spec("rclpy") is not None:
    from ros_fixtures import camera, camera_of_session, node, ros  # noqa: F401


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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes in one thread, so that sums are added up in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
