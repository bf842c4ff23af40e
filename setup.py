# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Packaging, for `colcon build` and for `pip install .`: one distribution, one extra per use."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup  # isort: skip  (brings distutils to Python 3.12+)
from distutils.command.install_data import install_data

PACKAGE = "gsvnet_ros"
PACKAGES = ("gsvnet_model", "gsvnet_offline", "gsvnet_lab", "street_drive", "gsvnet_ros")
EXECUTABLES = {
    "segmentation_node": "gsvnet_ros.segmentation_node:main",
    "camera": "gsvnet_ros.tools.camera:main",
    "recorder": "gsvnet_ros.tools.recorder:main",
    "demo": "gsvnet_ros.tools.demo:main",
    "benchmark": "gsvnet_ros.tools.benchmark.__main__:main",
    "nav2_block": "gsvnet_ros.tools.nav2_block:main",
    "gsvnet": "gsvnet_lab.cli:main",
}

# The oldest versions that the tests were run with. What is imported by name is declared here, in
# package.xml (the robot's part) and pinned in requirements*.txt; test/test_package.py compares.
ROBOT = [
    "numba>=0.60",
    "numpy>=1.26",
    "opencv-python-headless>=4.6",
    "pyyaml",  # nav2_block; rclpy needs it as well
    "safetensors>=0.4",
    "torch>=2.5",
]
# Recordings: `gsvnet segment`, and the demo, the camera and the benchmark on ROS topics.
OFFLINE = ["tqdm"]
# Every verb of `gsvnet`: training, evaluation, benchmarks.
LAB = [*OFFLINE, "matplotlib>=3.5", "pydantic>=2"]
# Only for machines without a ROS 2 of their own.
ROS = [
    "ros-rclpy[fastrtps]",
    "ros-sensor-msgs",
    "ros-std-msgs",
    "ros-std-srvs",
    "ros-diagnostic-msgs",
    "ros-lifecycle-msgs",
    "ros-rcl-interfaces",
    "ros-ament-index-python",
]


class InstallData(install_data):
    """Installs the data files and, where pip puts the scripts into bin/, a way to find them.

    `ros2 run` and the Node action of launch look for executables in lib/<package> only. colcon
    installs the scripts there (setup.cfg); wheels cannot, so they carry forwarders.
    """

    def run(self) -> None:
        """Install the data files, then the forwarders if they are needed."""
        super().run()
        scripts = Path(self.get_finalized_command("install").install_scripts)
        if scripts.parts[-2:] == ("lib", PACKAGE):
            return
        folder = Path(self.install_dir, "lib", PACKAGE)
        folder.mkdir(parents=True, exist_ok=True)
        for name in EXECUTABLES:
            forwarder = folder / name
            forwarder.write_text(f'#!/bin/sh\nexec "$(dirname "$0")/../../bin/{name}" "$@"\n')
            forwarder.chmod(0o755)
            self.outfiles.append(str(forwarder))


setup(
    name=PACKAGE,
    version=ElementTree.parse("package.xml").findtext("version"),
    description="Fast semantic segmentation of camera video for ROS 2 (GSVNet)",
    author="The gsvnet_ros authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=[f"{name}{inner}" for name in PACKAGES for inner in ("", ".*")]),
    package_data={"gsvnet_model": ["weights/*.safetensors", "weights/*.md"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{PACKAGE}/config", sorted(glob("config/*.*"))),
    ],
    install_requires=ROBOT,
    extras_require={"offline": OFFLINE, "lab": LAB, "ros": ROS},
    entry_points={"console_scripts": [f"{name} = {main}" for name, main in EXECUTABLES.items()]},
    cmdclass={"install_data": InstallData},
    zip_safe=False,
)
