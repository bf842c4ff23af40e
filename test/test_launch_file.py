# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The launch file and the configuration beside it."""

from __future__ import annotations

import ast
import runpy
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
import yaml

from gsvnet_ros.node.parameters import SPEC_BY_NAME
from gsvnet_ros.startup.transport_profile import PROFILE_VARIABLES, set_profile

ROOT = Path(__file__).parent.parent
LAUNCH_FILE = ROOT / "launch" / "seg.launch.py"
PROFILE = ROOT / "config" / "fastdds_shm.xml"


def test_launch_file_imports_nothing_but_launch() -> None:
    tree = ast.parse(LAUNCH_FILE.read_text())
    modules = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    foreign = {str(name).split(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert foreign == {"launch", "launch_ros", "ament_index_python"}  # launch_ros needs the third


@pytest.mark.parametrize(("profile", "mib"), [("fastdds_shm.xml", 64), ("fastdds_shm_8k.xml", 256)])
def test_profile_holds_large_images_and_reaches_other_machines(profile: str, mib: int) -> None:
    namespace = {"dds": "http://www.eprosima.com"}
    root = ElementTree.parse(PROFILE.with_name(profile)).getroot()
    transports = {
        found.findtext("dds:type", None, namespace): [
            found.findtext(f"dds:{name}", None, namespace)
            for name in ("segment_size", "port_queue_capacity")
        ]
        for found in root.iterfind(".//dds:transport_descriptor", namespace)
    }
    assert transports == {"SHM": [str(mib * 2**20), "8192"], "UDPv4": [None, None]}
    participant = root.find(".//dds:participant", namespace)
    assert participant is not None
    assert participant.get("is_default_profile") == "true"
    assert participant.findtext(".//dds:useBuiltinTransports", None, namespace) == "false"


def test_rviz_shows_the_topics_reliably() -> None:
    config = yaml.safe_load((ROOT / "config" / "segmentation.rviz").read_text())
    displays = config["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"]: display for display in displays}
    assert set(topics) == {f"/segmentation/{name}" for name in ("overlay", "color", "confidence")}
    for display in displays:
        assert display["Class"] == "rviz_default_plugins/Image"
        assert display["Topic"]["Reliability Policy"] == "Reliable"


def started(**arguments: str) -> list[Any]:
    """Return the actions that the launch file starts for these arguments."""
    launch = pytest.importorskip("launch")
    pytest.importorskip("launch_ros")
    module = runpy.run_path(str(LAUNCH_FILE))
    context = launch.LaunchContext()
    for action in module["generate_launch_description"]().entities[:-1]:
        name = action.name
        context.launch_configurations[name] = arguments.pop(name, None) or "".join(
            part.perform(context) for part in action.default_value
        )
    assert not arguments
    return list(module["start"](context))


def parameters_of(node: Any) -> list[Any]:
    """Return the parameter sources of a node action, in order."""
    return list(node._Node__parameters)


def test_every_argument_is_described() -> None:
    pytest.importorskip("launch_ros")
    description = runpy.run_path(str(LAUNCH_FILE))["generate_launch_description"]()
    names = []
    for action in description.entities[:-1]:
        assert len(action.description) > 10
        names.append(action.name)
    assert {
        "image",
        "image_transport",
        "compressed_image",
        "autostart",
        "params_file",
        "weights",
        "device",
        "namespace",
        "use_sim_time",
        "rviz",
        "log_level",
    } <= set(names)


def test_rviz_is_left_out_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launch_ros = pytest.importorskip("launch_ros")
    prefix = tmp_path / "with_rviz"
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    for prefixes, expected in ((tmp_path, "LogInfo"), (prefix, "Node")):
        monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefixes))
        *_, node, last = started(rviz="true")
        assert isinstance(node, launch_ros.actions.Node)
        assert type(last).__name__ == expected
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def test_missing_parameter_file_starts_nothing() -> None:
    pytest.importorskip("launch_ros")
    with pytest.raises(ValueError, match=r"params_file: expected a file, found none at nowhere"):
        started(params_file="nowhere.yaml")


def remappings_of(node: Any) -> dict[str, str]:
    """Return the remappings of a node action."""
    launch = pytest.importorskip("launch")
    context = launch.LaunchContext()

    def text(parts: Any) -> str:
        return "".join(part.perform(context) for part in parts)

    return {text(old): text(new) for old, new in node._Node__remappings}


def test_topics_are_remapped_where_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node itself derives the topic of the calibration from that of the images."""
    pytest.importorskip("launch_ros")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "mine.xml")
    (node,) = started(image="/cam/image_raw")
    assert remappings_of(node) == {"image": "/cam/image_raw"}
    (node,) = started(compressed_image="/axis/jpeg", camera_info="/axis/info")
    assert remappings_of(node) == {
        "image": "image",
        "image/compressed": "/axis/jpeg",
        "camera_info": "/axis/info",
    }
    assert len(parameters_of(node)[-1]) == 1  # image_transport


def test_arguments_win_only_when_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("launch_ros")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "mine.xml")
    (node,) = started()
    plain = len(parameters_of(node)[-1])
    (node,) = started(weights="w.safetensors", use_sim_time="true")
    assert len(parameters_of(node)[-1]) == plain + 2
    (node,) = started(autostart="false")
    assert len(parameters_of(node)[-1]) == plain + 1


@pytest.mark.parametrize(
    ("distribution", "name"),
    [
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_profile_is_named_as_the_distribution_reads_it(
    monkeypatch: pytest.MonkeyPatch, distribution: str, name: str
) -> None:
    """And as `gsvnet_ros.startup.transport_profile` does it for the demo."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    monkeypatch.setenv("ROS_DISTRO", distribution)
    for variable in (*PROFILE_VARIABLES, "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(variable, raising=False)
    environment = {"ROS_DISTRO": distribution}
    assert set_profile(environment, PROFILE) == ""
    assert environment == {"ROS_DISTRO": distribution, name: str(PROFILE)}
    pytest.importorskip("launch_ros")
    action, _ = started()
    assert "".join(part.text for part in action.name) == name
    for variable in PROFILE_VARIABLES:  # what the user has chosen stays
        monkeypatch.setenv(variable, "mine.xml")
        assert len(started()) == 1
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("variable", PROFILE_VARIABLES)
def test_chosen_profile_stays(variable: str) -> None:
    environment = {variable: "mine.xml"}
    assert set_profile(environment, PROFILE) == ""
    assert environment == {variable: "mine.xml"}


def test_profile_that_does_not_fit_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**26))  # Docker's
    environment: dict[str, str] = {}
    told = set_profile(environment, PROFILE)
    assert "/dev/shm has 64 MiB free, expected 204" in told
    assert not environment
    other = {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}  # has no such profile
    assert set_profile(other, PROFILE) == "" and len(other) == 1
    launch = pytest.importorskip("launch")
    pytest.importorskip("launch_ros")
    hint, _ = started()
    assert isinstance(hint, launch.actions.LogInfo)


def received(arguments: list[str]) -> dict[str, Any]:
    """Return the parameters of the table that a node in `/robot` gets by these ROS arguments."""
    node = rclpy.create_node(
        "segmentation",
        namespace="/robot",
        cli_args=["--ros-args", *arguments],
        automatically_declare_parameters_from_overrides=True,
    )
    values = {name: p.value for name, p in node.get_parameters_by_prefix("").items()}
    node.destroy_node()
    return {name: values[name] for name in SPEC_BY_NAME if name in values}


def write_parameters(path: Path, node_name: str, **values: object) -> str:
    """Write a parameter file; `__` in a name stands for a dot."""
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    path.write_text(yaml.safe_dump({node_name: {"ros__parameters": dotted}}))
    return str(path)


NODE_NAMES = ("/**", "/robot/segmentation", "robot/segmentation", "/*/segmentation")
"""How a parameter file may name the node."""


@pytest.mark.parametrize("node_name", NODE_NAMES)
def test_ros_settles_parameters_in_the_order_that_the_launch_file_counts_on(
    ros: None, tmp_path: Path, node_name: str
) -> None:
    file = write_parameters(
        tmp_path / "file", node_name, model__device="cuda", overlay__legend=True
    )
    argument = write_parameters(tmp_path / "argument", "/robot/segmentation", model__device="cpu")
    arguments = ["-p", "overlay.legend:=false", "--params-file", file]
    assert received(arguments) == {"model.device": "cuda", "overlay.legend": True}
    arguments += ["--params-file", argument]
    assert received(arguments) == {"model.device": "cpu", "overlay.legend": True}


@pytest.mark.parametrize("node_name", NODE_NAMES)
def test_arguments_win_over_the_file_and_the_file_over_the_legend_of_rviz(
    ros: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, node_name: str
) -> None:
    launch = pytest.importorskip("launch")
    pytest.importorskip("launch_ros")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "mine.xml")
    file = write_parameters(
        tmp_path / "file", node_name, model__device="cuda", image_transport="raw"
    )

    def given(**arguments: str) -> dict[str, Any]:
        node = started(params_file=file, namespace="robot", **arguments)[0]
        node._perform_substitutions(launch.LaunchContext())
        received_arguments = [
            text
            for value, is_file in node._Node__expanded_parameter_arguments
            for text in ("--params-file" if is_file else "-p", value)
        ]
        return received(received_arguments)

    expected = {"model.device": "cuda", "image_transport": "raw", "overlay.legend": True}
    assert given(rviz="true") == expected
    expected.update({"model.device": "cpu", "image_transport": "compressed"})
    assert given(rviz="true", device="cpu", image_transport="compressed") == expected
    write_parameters(Path(file), node_name, overlay__legend=True)
    assert given() == {"overlay.legend": True}
    write_parameters(Path(file), node_name, overlay__legend=False)
    expected = {"overlay.legend": False, "model.weights": "w.safetensors"}
    assert given(rviz="true", weights="w.safetensors") == expected


@pytest.mark.parametrize(("namespace", "root"), [("", ""), ("robot", "/robot"), ("/a/b/", "/a/b")])
def test_rviz_follows_the_namespace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, namespace: str, root: str
) -> None:
    pytest.importorskip("launch_ros")
    marker = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    rviz = started(rviz="true", namespace=namespace, image="")[-1]
    launch = pytest.importorskip("launch")
    remappings = {
        "".join(part.perform(launch.LaunchContext()) for part in new)
        for _, new in rviz._Node__remappings
    }
    assert remappings == {f"{root}/segmentation/{t}" for t in ("overlay", "color", "confidence")}
