# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What is installed, where, and what it declares to need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

import pytest
from imports import NODE_FILES, ROOMS, ROOT, imported_names, source_files

from gsvnet_lab.cli import VERBS
from gsvnet_lab.extras import LAB, MODULES, OFFLINE

EXECUTABLES = (
    "segmentation_node",
    "camera",
    "recorder",
    "demo",
    "benchmark",
    "nav2_block",
    "gsvnet",
)

DISTRIBUTIONS = {"cv2": "opencv-python-headless", "yaml": "pyyaml"}
"""Names on PyPI of modules that are imported under another name."""

ROSDEP_KEYS = {
    "numba": "python3-numba",
    "numpy": "python3-numpy",
    "opencv-python-headless": "python3-opencv",
    "pyyaml": "python3-yaml",
    "safetensors": None,  # has no key: the README installs it with pip
    "torch": "python3-torch",
}
"""The key in package.xml of everything that the robot's install takes from PyPI."""

ROS_MESSAGES = ("_msgs", "_srvs", "_interfaces")
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
    needs = declared_needs(wheel)
    assert needs[None] == pinned("requirements.txt") - {"setuptools"}
    assert needs["lab"] == pinned("requirements-lab.txt")
    assert needs["offline"] <= needs["lab"]
    assert needs["ros"] == pinned("requirements-ros.txt")
    assert set(needs) == {None, "lab", "offline", "ros"}


def declared_needs(wheel: zipfile.ZipFile) -> dict[str | None, set[str]]:
    """Return the names of the distributions that a wheel needs, by extra; None for always."""
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(path).decode())
    needs: dict[str | None, set[str]] = {None: set()}
    for need in metadata.get_all("Requires-Dist") or []:
        extra = re.search(r"extra == ['\"](\w+)['\"]", need)
        name = re.split(r"[^\w-]", need)[0]
        needs.setdefault(extra and extra[1], set()).add(name)
    return needs


def pinned(file: str) -> set[str]:
    """Return the names of the distributions that a requirements file pins."""
    return {re.split(r"[\[=]", line)[0] for line in requirement_lines(file)}


def test_extras_are_named_by_their_modules(wheel: zipfile.ZipFile) -> None:
    """`gsvnet` looks for modules before it says which extra is missing."""
    needs = declared_needs(wheel)
    for extra, modules in MODULES.items():
        assert {DISTRIBUTIONS.get(name, name) for name in modules} == needs[extra]


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
        assert re.match(r"[\w\[\]-]+==[\w.]+($|; (python_version|sys_platform) )", line), line


def declared() -> set[str]:
    tree = ElementTree.parse(ROOT / "package.xml")
    return {e.text or "" for kind in ("exec_depend", "depend") for e in tree.iter(kind)}


def needs_of_files(*folders: str) -> set[str]:
    """Return the names on PyPI of what the files under some folders import, ROS apart."""
    names: set[str] = set()
    for folder in folders:
        for file in source_files(folder):
            names |= {name.partition(".")[0] for name in imported_names(file)}
    names -= sys.stdlib_module_names | set(ROOMS) | ROS_PACKAGES
    return {DISTRIBUTIONS.get(name, name) for name in names if not name.endswith(ROS_MESSAGES)}


def test_every_import_is_declared(wheel: zipfile.ZipFile) -> None:
    needs = declared_needs(wheel)
    robot = needs[None] | {"triton"}  # comes with PyTorch where there is a GPU
    assert needs_of_files("gsvnet_model", "launch", *NODE_FILES) <= robot
    assert needs_of_files("gsvnet_offline", "street_drive") <= robot | needs["offline"]
    assert needs_of_files("gsvnet_ros/tools") <= robot | needs["offline"]
    runtimes = {"onnxruntime", "openvino"}  # compared where somebody has installed them
    assert needs_of_files("gsvnet_lab") <= robot | needs["lab"] | runtimes
    # And nothing is declared that no file imports.
    everywhere = needs_of_files(*ROOMS, "launch")
    assert needs[None] | needs["lab"] <= everywhere


def test_package_xml_declares_the_robot_s_install(wheel: zipfile.ZipFile) -> None:
    robot = declared_needs(wheel)[None]
    assert robot == set(ROSDEP_KEYS)
    keys = {key for key in declared() if key.startswith("python3-")}
    assert keys == {key for key in ROSDEP_KEYS.values() if key is not None}


def test_package_xml_declares_the_ros_packages_that_are_imported() -> None:
    files = source_files("gsvnet_ros") + source_files("launch")
    names = {name.partition(".")[0] for path in files for name in imported_names(path)}
    assert {n for n in names if n in ROS_PACKAGES or n.endswith(ROS_MESSAGES)} <= declared()
    # Imported by name, on first use.
    assert "vision_msgs" in declared()


def test_setup_installs_every_requirements_file() -> None:
    script = (ROOT / "scripts" / "setup").read_text()
    assert set(re.findall(r"requirements(?:-\w+)?\.txt", script)) >= {
        path.name for path in ROOT.glob("requirements*.txt")
    }


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


WITHOUT = """
import importlib, runpy, sys
for name in {missing}:
    sys.modules[name] = None  # as if it was not installed
"""


def python_without(missing: Iterable[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that lacks some modules."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=sorted(missing)) + code],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def run_command(*words: str) -> str:
    """Return code that runs a module of a command with arguments, as `python -m` does."""
    module, *arguments = words
    return f"sys.argv = {['-', *arguments]}; runpy.run_module({module!r}, run_name='__main__')"


def test_the_robot_s_install_has_all_that_its_programs_import() -> None:
    programs = ("gsvnet_ros.segmentation_node", "gsvnet_ros.tools.recorder")
    done = python_without(MODULES[LAB], f"for m in {programs}: importlib.import_module(m)")
    assert done.returncode == 0, done.stderr
    words = ("--traversable", "road", "--pointcloud", "/camera/points")
    done = python_without(MODULES[LAB], run_command("gsvnet_ros.tools.nav2_block", *words))
    assert done.returncode == 0, done.stderr
    assert "/camera/points" in done.stdout


def test_gsvnet_lists_its_verbs_in_the_robot_s_install() -> None:
    done = python_without(MODULES[LAB], run_command("gsvnet_lab.cli", "--help"))
    assert done.returncode == 0, done.stderr
    assert not [verb.name for verb in VERBS if verb.name not in done.stdout.split()]


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        *[(("gsvnet_lab.cli", verb.name), verb.extra) for verb in VERBS if verb.extra],
        (("gsvnet_lab.cli", "balance"), LAB),  # an older name
        (("gsvnet_ros.tools.demo",), OFFLINE),
        (("gsvnet_ros.tools.camera",), OFFLINE),
        (("gsvnet_ros.tools.benchmark", "overhead"), OFFLINE),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_missing_extra_is_told_in_one_line(words: tuple[str, ...], extra: str) -> None:
    missing = MODULES[extra][-1]
    done = python_without([missing], run_command(*words, "--help"))
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert f'needs {missing}: pip install "gsvnet_ros[{extra}]"' in line
    assert not done.stdout


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        *[
            (("gsvnet_lab.cli", verb.name), verb.extra)
            for verb in VERBS
            if verb.extra != LAB  # the largest: the tests of these verbs hold that it is enough
        ],
        (("gsvnet_ros.tools.demo",), OFFLINE),
        (("gsvnet_ros.tools.benchmark",), OFFLINE),
    ],
    ids=lambda value: value if isinstance(value, str | None) else " ".join(value),
)
def test_an_extra_is_enough_for_the_commands_that_ask_for_it(
    words: tuple[str, ...], extra: str | None
) -> None:
    """Help needs all that the module imports."""
    missing = set(MODULES[LAB]) - set(MODULES[extra] if extra else ())
    done = python_without(missing, run_command(*words, "--help"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


THREADS_WATCH = """
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
"""


@pytest.mark.parametrize(
    ("module", "given", "expected"),
    [
        ("gsvnet_ros.startup.run_node", {}, ["PASSIVE", "100000"]),
        ("gsvnet_ros.tools.demo", {}, ["PASSIVE", "100000"]),
        ("gsvnet_ros.tools.benchmark.__main__", {}, ["PASSIVE", "100000"]),
        ("gsvnet_model", {"GOMP_SPINCOUNT": "7"}, ["PASSIVE", "7"]),
        ("gsvnet_model", {"OMP_WAIT_POLICY": "PASSIVE"}, ["PASSIVE", None]),
    ],
)
def test_threads_spin_for_a_moment_only(
    module: str, given: dict[str, str], expected: list[str | None]
) -> None:
    """OpenMP reads how when torch is imported; where threads spin for long, a busy robot crawls."""
    assert python(f"{THREADS_WATCH.format(given=given)}import {module}") == f"{expected}\n"


@pytest.mark.parametrize("verb", ["combine", "train"])
def test_threads_of_verbs_spin_for_a_moment_only(verb: str) -> None:
    """These import torch before they import `gsvnet_model`."""
    call = f"from gsvnet_lab.cli import main\nmain([{verb!r}, '--help'])"
    assert python(THREADS_WATCH.format(given={}) + call).startswith("['PASSIVE', '100000']\n")


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
