# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What is installed, where, and what it declares to need."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXECUTABLES = (
    "segmentation_node",
    "camera",
    "recorder",
    "demo",
    "benchmark",
    "nav2_block",
    "gsvnet",
)

ROSDEP_KEYS = {
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "numba": "python3-numba",
    "numpy": "python3-numpy",
    "torch": "python3-torch",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
# Triton comes with PyTorch where there is a GPU.
NO_ROSDEP_KEY = {"safetensors", "triton"}
ROS_PACKAGES = {"rclpy", "ament_index_python", "launch", "launch_ros", "cv_bridge"}

ALL_MODULES = """
import importlib, pkgutil, sys
package = importlib.import_module("{package}")
for module in pkgutil.walk_packages(package.__path__, "{package}."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            assert error.name == "triton", module.name  # imported where there is a GPU
"""

WITHOUT_NEW_NAMES = """
import sys
import cv2
sys.modules["cv2.typing"] = None  # as in Ubuntu's OpenCV 4.6
import torch
del torch.cpu.get_capabilities  # as before 2.11
import rclpy.lifecycle, rclpy.node, rclpy.parameter_client, rclpy.subscription
del rclpy.subscription.MessageInfo  # as in Jazzy
"""

WITHOUT_ROS = """
import sys
class NoRos:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {"rclpy", "launch", "launch_ros", "ament_index_python", "cv_bridge",
                   "gsvnet_ros"} or top.endswith(("_msgs", "_srvs", "_interfaces")):
            raise ImportError(f"{name} is ROS")
sys.meta_path.insert(0, NoRos())
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources, so that building leaves nothing in them."""
    copy = tmp_path_factory.mktemp("sources") / "gsvnet_ros"
    ignored = shutil.ignore_patterns(".*", "build", "install", "log", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, sources)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_carries_everything(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert "gsvnet_model/weights/ddrnet23_slim_camvid.safetensors" in names
    for folder, package in (("gsvnet_ros", "gsvnet_ros"), ("gsvnet_model", "gsvnet_model")):
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}
        assert modules <= names, package
    (data,) = {name.partition("/")[0] for name in names if ".data/" in name}
    share = f"{data}/data/share"
    assert f"{share}/ament_index/resource_index/packages/gsvnet_ros" in names
    assert f"{share}/gsvnet_ros/package.xml" in names
    for folder in ("launch", "config"):
        for path in (ROOT / folder).iterdir():
            if path.is_file():
                assert f"{share}/gsvnet_ros/{folder}/{path.name}" in names
    tops = {name.partition("/")[0] for name in names}
    assert not tops & {"test", "scripts", "build"}


def test_wheel_forwards_ros2_run(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Launch and `ros2 run` look in lib/gsvnet_ros, pip puts the scripts into bin."""
    entries = {name.rpartition("/")[2]: name for name in wheel.namelist() if "/lib/" in name}
    assert set(entries) == set(EXECUTABLES)
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib" / "gsvnet_ros").mkdir(parents=True)
    script = tmp_path / "bin" / "camera"
    script.write_text('#!/bin/sh\necho "camera: $1"\n')
    forwarder = tmp_path / "lib" / "gsvnet_ros" / "camera"
    forwarder.write_bytes(wheel.read(entries["camera"]))
    for path in (script, forwarder):
        path.chmod(0o755)
    assert run(forwarder, "two words") == "camera: two words\n"
    assert wheel.getinfo(entries["camera"]).external_attr >> 16 & 0o111


def test_wheel_declares_its_scripts_and_needs(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert re.findall(r"^(\w+) = ", entry_points, re.MULTILINE) == sorted(EXECUTABLES)
    metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    needed = metadata.get_all("Requires-Dist") or []
    names = {re.split(r"[^\w-]", need)[0] for need in needed}
    pinned = {
        re.split(r"[\[=]", line)[0]
        for file in ("requirements.txt", "requirements-ros.txt")
        for line in requirement_lines(file)
    }
    assert names <= pinned
    assert {"torch", "numpy", "safetensors", "ros-rclpy"} <= names


def test_colcon_layout(sources: Path, tmp_path: Path) -> None:
    """The command that colcon runs puts the scripts where ROS looks for them."""
    arguments = ["install", "--prefix", str(tmp_path), "--record", str(tmp_path / "record")]
    run(
        *(sys.executable, "-W", "ignore", "setup.py", "build", "--build-base", tmp_path / "build"),
        *(*arguments, "--single-version-externally-managed"),
        cwd=sources,
    )
    scripts = {path.name for path in (tmp_path / "lib" / "gsvnet_ros").iterdir()}
    assert scripts == set(EXECUTABLES)
    camera = (tmp_path / "lib" / "gsvnet_ros" / "camera").read_text()
    assert camera.startswith("#!") and "python" in camera.splitlines()[0]
    share = tmp_path / "share"
    assert (share / "ament_index/resource_index/packages/gsvnet_ros").is_file()
    assert list((share / "gsvnet_ros" / "launch").glob("*.launch.py"))


def requirement_lines(file: str) -> list[str]:
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda p: p.name)
def test_requirements_are_pinned(path: Path) -> None:
    for line in requirement_lines(path.name):
        assert re.match(r"[\w\[\]-]+==[\w.]+($|; python_version )", line), line


def declared() -> set[str]:
    tree = ElementTree.parse(ROOT / "package.xml")
    return {e.text or "" for kind in ("exec_depend", "depend") for e in tree.iter(kind)}


def imported(folder: str) -> set[str]:
    """Return the top-level names of everything imported under a folder."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"gsvnet_ros", "gsvnet_model"}


def test_package_xml_declares_what_is_imported() -> None:
    used = imported("gsvnet_ros") | imported("gsvnet_model") | imported("launch")
    keys = {ROSDEP_KEYS.get(name, name) for name in used - NO_ROSDEP_KEY}
    assert keys <= declared()
    # Imported by name, on first use.
    assert "vision_msgs" in declared()


def test_no_ros_and_no_cv_bridge_where_they_do_not_belong() -> None:
    used = imported("gsvnet_model")
    assert not {n for n in used if n in ROS_PACKAGES or n.endswith(("_msgs", "_srvs"))}
    assert "cv_bridge" not in imported("gsvnet_ros")


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return run(sys.executable, "-c", code, cwd=ROOT, env=environment)


def test_library_imports_without_ros() -> None:
    python(WITHOUT_ROS + ALL_MODULES.format(package="gsvnet_model"))


def test_blocked_import_is_noticed() -> None:
    python(WITHOUT_ROS + "try:\n    import rclpy\nexcept ImportError: pass\nelse: sys.exit(1)")


def test_node_does_not_import_cv_bridge() -> None:
    modules = ALL_MODULES.format(package="gsvnet_ros")
    python(f"{modules}\nsys.exit('cv_bridge' in sys.modules)")


def test_older_versions_have_what_is_needed() -> None:
    """Those of Ubuntu 24.04 and Jazzy, and torch of before 2.11."""
    modules = "".join(ALL_MODULES.format(package=name) for name in ("gsvnet_model", "gsvnet_ros"))
    use = "import gsvnet_model; gsvnet_model.load_model(device='cpu')"
    python(f"{WITHOUT_NEW_NAMES}{modules}{use}")


@pytest.mark.parametrize(
    ("module", "given", "expected"),
    [
        ("gsvnet_ros.segmentation_node", {}, ["PASSIVE", "100000"]),
        ("gsvnet_lab.cli", {}, ["PASSIVE", "100000"]),
        ("gsvnet_model", {"GOMP_SPINCOUNT": "7"}, ["PASSIVE", "7"]),
        ("gsvnet_model", {"OMP_WAIT_POLICY": "PASSIVE"}, ["PASSIVE", None]),
    ],
)
def test_threads_wait_awake_for_a_moment_only(
    module: str, given: dict[str, str], expected: list[str | None]
) -> None:
    """OpenMP reads how when torch is imported; where threads spin for long, a busy robot crawls."""
    watch = f"""
import os, sys
names = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"]
for name in names:
    os.environ.pop(name, None)
os.environ.update({given})
class Watch:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print([os.environ.get(name) for name in names])
sys.meta_path.insert(0, Watch())
import {module}
"""
    assert python(watch) == f"{expected}\n"


in_the_venv = pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="scripts/setup made no .venv here"
)


@in_the_venv
def test_setup_puts_the_launch_file_where_ros2_launch_finds_it() -> None:
    """As it looks: below the share folder, not into linked folders."""
    share = ROOT / ".venv" / "share" / "gsvnet_ros"
    found = {name for _, _, names in os.walk(share) for name in names}
    assert {"seg.launch.py", "segmentation.yaml", "fastdds_shm.xml", "package.xml"} <= found


@in_the_venv
def test_second_setup_installs_nothing() -> None:
    assert run(ROOT / "scripts" / "setup", cwd="/") == ""
