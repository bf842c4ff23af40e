# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Only segments of dead processes are removed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsvnet_ros.startup.shared_memory import owned_segments, remove_dead_segments, segments

NODE = """
import rclpy
rclpy.init()
node = rclpy.create_node("left_behind")
print("up", flush=True)
rclpy.spin(node)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("fastdds_0123abc", "fastdds_port7413", "fastrtps_89ab"):
        (tmp_path / name).touch()
        (tmp_path / f"{name}_el").touch()
    (tmp_path / "sem.fastdds_port7413_mutex").touch()
    (tmp_path / "fastdds_without_a_lock").touch()
    (tmp_path / "somebody_elses").touch()
    return tmp_path


def test_segments_of_the_dead_are_removed(folder: Path) -> None:
    time.sleep(1.1)
    expected = ["fastdds_0123abc", "fastdds_port7413", "fastrtps_89ab"]
    assert remove_dead_segments(folder) == expected
    left = {path.name for path in folder.iterdir()}
    assert left == {"fastdds_without_a_lock", "somebody_elses"}


def test_segments_of_the_living_stay(folder: Path) -> None:
    time.sleep(1.1)
    with (folder / "fastdds_0123abc_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_dead_segments(folder) == ["fastdds_port7413", "fastrtps_89ab"]
    assert segments(folder) == {"fastdds_0123abc"}


def test_a_new_segment_may_not_be_locked_yet(folder: Path) -> None:
    assert remove_dead_segments(folder) == []


def test_no_folder(tmp_path: Path) -> None:
    assert remove_dead_segments(tmp_path / "none") == []


def test_what_others_put_there_is_neither_opened_nor_removed(folder: Path) -> None:
    """Anyone may write to the folder: a pipe would block, a link lead elsewhere."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.write_text("kept")
    for name, plant in (
        ("fastdds_0123abc_el", os.mkfifo),
        ("fastdds_port7413_el", lambda path: path.symlink_to(elsewhere)),
        ("fastrtps_89ab", os.mkfifo),
    ):
        (folder / name).unlink()
        plant(folder / name)
    time.sleep(1.1)
    assert remove_dead_segments(folder) == []
    assert segments(folder) == {"fastdds_0123abc", "fastdds_port7413"}
    assert elsewhere.read_text() == "kept"


@pytest.mark.parametrize(("number", "leaves"), [(signal.SIGKILL, True), (signal.SIGINT, False)])
def test_killed_node(number: signal.Signals, leaves: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", NODE], stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == b"up\n"
        own = owned_segments(node.pid)
        assert own
        time.sleep(1.1)
        assert not own & set(remove_dead_segments())
        node.send_signal(number)
        node.wait(20)
    # Ports of a domain are shared: another participant of this machine may still be using one.
    dead = own & set(remove_dead_segments())
    assert bool(dead) == leaves
    assert not dead & segments()
