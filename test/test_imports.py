# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Which room may import which, and how little the node loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from imports import NODE_FILES, ROOMS, ROOT, imported_names, source_files

ROOM_ARROWS = {
    "gsvnet_model": set[str](),
    "gsvnet_offline": {"gsvnet_model"},
    "street_drive": set[str](),
    "gsvnet_lab": {"gsvnet_model", "gsvnet_offline", "street_drive"},
    **{place: {"gsvnet_model"} for place in NODE_FILES},
    "gsvnet_ros/tools": {"gsvnet_model", "gsvnet_offline", "gsvnet_lab", "street_drive"},
    "launch": {"gsvnet_model"},
}
"""What the files of a place import besides their own package."""

ROS = {"rclpy", "ament_index_python", "launch", "launch_ros", "cv_bridge"}

MAX_MODEL_FILES = 65
MAX_MODEL_LINES = 8300
MAX_MODEL_ENTRIES = 12

LEFT_OUT = ("av", "matplotlib", "pydantic", "tqdm", "gsvnet_lab", "gsvnet_offline", "street_drive")
"""What a robot's install does not have, and the rooms that the node does not need."""

NODE = f"""
import json, sys
for name in {LEFT_OUT}:
    sys.modules[name] = None  # as if it was not installed
import gsvnet_ros.startup.run_node
from gsvnet_model import load_model
load_model(device="cpu")
files = [m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "gsvnet_model"]
print(json.dumps(files))
"""


@pytest.mark.parametrize("place", ROOM_ARROWS)
def test_arrows_between_the_rooms_run_one_way(place: str) -> None:
    own = place.partition("/")[0]
    allowed = ROOM_ARROWS[place] | ({"gsvnet_ros"} if place == "launch" else {own})
    files = source_files(place)
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(imported_names(path))
        if name.partition(".")[0] in ROOMS
        and (
            name.partition(".")[0] not in allowed
            # The tools may import everything, so whoever imports a tool may as well.
            or (name.startswith("gsvnet_ros.tools") and place != "gsvnet_ros/tools")
        )
    ]
    assert not wrong


def test_the_arrows_cover_every_file() -> None:
    covered = {path for place in ROOM_ARROWS for path in source_files(place)}
    assert {path for room in ROOMS for path in source_files(room)} <= covered


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "gsvnet_ros"])
def test_ros_is_imported_by_gsvnet_ros_only(room: str) -> None:
    wrong = {
        name
        for path in source_files(room)
        for name in imported_names(path)
        if name.partition(".")[0] in ROS or name.partition(".")[0].endswith(("_msgs", "_srvs"))
    }
    assert not wrong


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "package" / "inner" / "sample.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import a.b as c\nfrom d import e\nfrom .. import f\n"
        "def g():\n    from h.i import j\n    importlib.import_module('k.l')\n"
    )
    assert imported_names(path, tmp_path) == {"a.b", "d.e", "package.f", "h.i.j", "k.l"}


def test_the_node_loads_little_and_nothing_that_a_robot_lacks() -> None:
    pytest.importorskip("rclpy")
    done = subprocess.run(
        [sys.executable, "-c", NODE],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])) <= MAX_MODEL_FILES


def test_the_run_time_library_is_small() -> None:
    files = source_files("gsvnet_model")
    assert sum(len(path.read_text().splitlines()) for path in files) <= MAX_MODEL_LINES
    entries = {path.name for path in (ROOT / "gsvnet_model").iterdir()} - {"__pycache__"}
    assert len(entries) <= MAX_MODEL_ENTRIES, sorted(entries)
