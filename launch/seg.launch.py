# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Starts the node `segmentation`, on request with rviz.

An argument that is not given changes nothing: the parameter file, then the node's own
default decides.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import Parameter

CONFIG = Path(__file__).parent.parent / "config"
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
SHARED_MEMORY = Path("/dev/shm")
NEEDED_MIB = 3 * 68
BOOLEANS = ["", "true", "false"]
RVIZ_TOPICS = ("overlay", "color", "confidence")

ARGUMENTS = [
    DeclareLaunchArgument(
        "image", default_value="image", description="Topic of the camera images."
    ),
    DeclareLaunchArgument(
        "camera_info",
        default_value="",
        description="Topic of the calibration. Not given: camera_info beside the images.",
    ),
    DeclareLaunchArgument(
        "image_transport",
        default_value="",
        choices=["", "raw", "compressed"],
        description="raw subscribes to <image>, compressed to <image>/compressed.",
    ),
    DeclareLaunchArgument(
        "compressed_image",
        default_value="",
        description="Topic of compressed images whose name does not end in /compressed. Given: "
        "image_transport is compressed.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(CONFIG / "segmentation.yaml"),
        description="YAML file with parameters of the node.",
    ),
    DeclareLaunchArgument(
        "weights",
        default_value="",
        description="Path of a safetensors checkpoint (parameter model.weights).",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="cpu, cuda, cuda:<index> or auto (parameter model.device).",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="",
        choices=BOOLEANS,
        description="Configure and activate at start; give false for a lifecycle manager. Not "
        "given: as the parameter file says, or true.",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of the node and its topics."
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=BOOLEANS,
        description="Take the time from /clock. Not given: as the parameter file says, or false.",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=["true", "false"],
        description="Open rviz with overlay, class colours and confidence, drawn with a legend.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe messages that are logged.",
    ),
]


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the actions for the arguments given.

    Raises:
        ValueError: if there is no such parameter file, of which launch only warns.
    """
    given = {name: value for name, value in context.launch_configurations.items() if value != ""}
    if not Path(given["params_file"]).is_file():
        raise ValueError(f"params_file: expected a file, found none at {given['params_file']}")
    namespace = given.get("namespace", "").rstrip("/")
    topics = {
        "image": "image",
        "image/compressed": "compressed_image",
        "camera_info": "camera_info",
    }
    remappings = [(topic, given[name]) for topic, name in topics.items() if name in given]
    if "compressed_image" in given:
        given.setdefault("image_transport", "compressed")
    parameters: dict[str, str | bool] = {
        parameter: given[argument]
        for argument, parameter in (
            ("image_transport", "image_transport"),
            ("weights", "model.weights"),
            ("device", "model.device"),
        )
        if argument in given
    }
    if "autostart" in given:
        parameters["autostart"] = given["autostart"] == "true"
    clock = {"use_sim_time": given["use_sim_time"] == "true"} if "use_sim_time" in given else {}
    shows_rviz = given["rviz"] == "true"
    actions: list[LaunchDescriptionEntity] = [
        *_transport_profile(),
        Node(
            package="gsvnet_ros",
            executable="segmentation_node",
            name="segmentation",
            namespace=namespace,
            # ROS gathers what is given under one name, and names that come later win. A dictionary
            # is given under the node's name, this one under /**, as in most parameter files: were
            # it a dictionary, the node's name would come before the file's, and so would the
            # arguments at the end.
            parameters=[
                Parameter("overlay.legend", shows_rviz, value_type=bool),
                given["params_file"],
                {**parameters, **clock},
            ],
            remappings=remappings,
            ros_arguments=["--log-level", given["log_level"]],
            output="both",
        ),
    ]
    if shows_rviz and not _has_rviz():
        # Launch would end here, and leave the node that it has started alone.
        actions.append(LogInfo(msg="rviz2 is not installed: the node runs without it"))
    elif shows_rviz:
        root = f"/{namespace.lstrip('/')}" if namespace else ""
        actions.append(
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz",
                namespace=namespace,
                arguments=["-d", str(CONFIG / "segmentation.rviz")],
                parameters=[clock] if clock else [],
                remappings=[
                    (f"/segmentation/{topic}", f"{root}/segmentation/{topic}")
                    for topic in RVIZ_TOPICS
                ],
            )
        )
    return actions


def _transport_profile() -> list[LaunchDescriptionEntity]:
    """Return the action that names the transport profile, if the user has not, or says why not.

    As `gsvnet_ros.startup.transport_profile`, which cannot be imported where the node has its own
    Python.
    """
    middleware = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    is_chosen = any(name in os.environ for name in PROFILE_VARIABLES)
    if is_chosen or not middleware.startswith("rmw_fastrtps"):
        return []
    free_mib = shutil.disk_usage(SHARED_MEMORY).free / 2**20 if SHARED_MEMORY.is_dir() else 0
    if free_mib < NEEDED_MIB:
        hint = (
            f"large images may be lost: {SHARED_MEMORY} has {free_mib:.0f} MiB free, expected "
            f"{NEEDED_MIB}; in a container, start it with --shm-size=1g or --ipc=host"
        )
        return [LogInfo(msg=hint)]
    # Fast DDS 2, of Jazzy and before, reads the first alone; 3 reads the second.
    has_2 = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    profile = str(CONFIG / "fastdds_shm.xml")
    return [SetEnvironmentVariable(PROFILE_VARIABLES[0 if has_2 else 1], profile)]


def _has_rviz() -> bool:
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return False
    return True


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
