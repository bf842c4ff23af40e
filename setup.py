# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Packaging of gsvnet_ros and gsvnet_model, for `colcon build` and for `pip install .`."""

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
    # The oldest that the library's tests were run with.
    install_requires=[
        "matplotlib>=3.5",
        "numba>=0.60",
        "numpy>=1.26",
        "opencv-python-headless>=4.6",
        "pyyaml",
        "safetensors>=0.4",
        "torch>=2.5",
        "tqdm",
    ],
    # Only for machines without a ROS 2 of their own.
    extras_require={
        "ros": [
            "ros-rclpy[fastrtps]",
            "ros-sensor-msgs",
            "ros-std-msgs",
            "ros-std-srvs",
            "ros-diagnostic-msgs",
            "ros-lifecycle-msgs",
            "ros-rcl-interfaces",
            "ros-ament-index-python",
        ]
    },
    entry_points={"console_scripts": [f"{name} = {main}" for name, main in EXECUTABLES.items()]},
    cmdclass={"install_data": InstallData},
    zip_safe=False,
)
