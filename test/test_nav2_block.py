# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The generated block of Nav2's semantic segmentation layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gsvnet_model.outputs.classes import CAMVID
from gsvnet_ros.tools.nav2_block import main

INTEGERS = ("base_cost", "max_cost", "mark_confidence", "samples_to_max_cost")


def test_block_names_topics_and_sorts_every_class(
    weights_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--weights", str(weights_path), "--pointcloud", "/points"]
    assert main([*arguments, "--traversable", "road", "pavement", "--ignored", "sky"]) == 0
    layer = yaml.safe_load(capsys.readouterr().out)["semantic_segmentation_layer"]
    assert layer["plugin"] == "semantic_segmentation_layer::SemanticSegmentationLayer"
    assert layer["observation_sources"] == "camera"
    source = layer["camera"]
    assert source["segmentation_topic"] == "/segmentation/mask"
    assert source["confidence_topic"] == "/segmentation/confidence"
    assert source["labels_topic"] == "/segmentation/label_info"
    assert source["pointcloud_topic"] == "/points"
    kinds = [source[kind] for kind in source["class_types"]]
    named = [name for kind in kinds for name in kind["classes"]]
    assert sorted(named) == sorted(set(CAMVID.names) - {"sky"})
    assert source["traversable"]["classes"] == ["road", "pavement"]
    assert [kind["max_cost"] for kind in kinds] == [0, 254]
    # The layer declares these as integers, the distances as doubles, and refuses other types.
    assert all(type(kind[name]) is int for kind in kinds for name in INTEGERS)
    assert isinstance(source["max_obstacle_distance"], float)


def test_cameras_and_merged_classes_have_their_names(
    weights_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--weights", str(weights_path), "--cameras", "front", "rear"]
    arguments += ["--pointcloud", "/front/points", "/rear/points", "--node", "/robot/segmentation"]
    merge = ["--merge", "free: road, pavement", "other: *"]
    assert main([*arguments, *merge, "--traversable", "free"]) == 0
    layer = yaml.safe_load(capsys.readouterr().out)["semantic_segmentation_layer"]
    assert layer["observation_sources"] == "front rear"
    assert layer["rear"]["segmentation_topic"] == "/robot/segmentation/rear/mask"
    assert layer["rear"]["pointcloud_topic"] == "/rear/points"
    assert layer["rear"]["danger"]["classes"] == ["other"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--traversable", "unicorn", "--pointcloud", "/p"], "got 'unicorn'"),
        (["--traversable", "road", "road", "--pointcloud", "/p"], "'road' twice"),
        (["--traversable", *CAMVID.names, "--pointcloud", "/p"], "traversable and other"),
        (["--traversable", "road", "--pointcloud", "/p", "/q"], "one point cloud per camera"),
    ],
)
def test_wrong_request_is_refused_with_its_reason(
    weights_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert main(["--weights", str(weights_path), *arguments]) == 1
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("camera", "why"),
    [
        ("plugin", "another name than 'plugin'"),
        ("observation_sources", "another name than 'observation_sources'"),
        ("a b", "got 'a b'"),
        ("1", "got '1'"),
    ],
)
def test_a_camera_that_would_break_the_block_is_refused(
    weights_path: Path, capsys: pytest.CaptureFixture[str], camera: str, why: str
) -> None:
    arguments = ["--weights", str(weights_path), "--traversable", "road", "--pointcloud", "/p"]
    assert main([*arguments, "--cameras", camera]) == 1
    told = capsys.readouterr()
    assert why in told.err
    assert not told.out
