# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Writes the block of Nav2's semantic segmentation costmap layer for this node's classes.

`ros2 run gsvnet_ros nav2_block --traversable road pavement --pointcloud /camera/points`
prints YAML to paste below a costmap's plugins.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from gsvnet_model.checkpoint import load_model
from gsvnet_model.outputs.merge import merge_classes
from gsvnet_ros.node.parameters import make_settings

LAYER = "semantic_segmentation_layer"
OF_THE_LAYER = (
    "plugin",
    "enabled",
    "combination_method",
    "observation_sources",
    "publish_debug_topics",
    "use_approximate_time_sync",
)
"""Parameters of the layer itself, between which each source has a block of its own name."""

FREE_COST = 0
LETHAL_COST = 254


def nav2_block(
    names: Sequence[str],
    traversable: Sequence[str],
    ignored: Sequence[str],
    sources: Sequence[tuple[str, str, str]],
) -> dict[str, Any]:
    """Return the parameters of the layer.

    Args:
        names: the published classes, in the order of their ids.
        traversable: classes of cost 0.
        ignored: classes that leave the costmap alone, such as the sky; all others are lethal.
        sources: name, topic prefix of the node's outputs and point cloud topic per camera.

    Raises:
        ValueError: for a class that is not published or is given twice, if no class is left on
            one side, or if a source has the name of one of the layer's own parameters.
    """
    for source, _, _ in sources:
        if source in OF_THE_LAYER:
            raise ValueError(
                f"expected a camera with another name than '{source}', a parameter of the layer; "
                "rename it in the node's parameter cameras"
            )
    given = [*traversable, *ignored]
    for name in given:
        if name not in names:
            raise ValueError(f"expected published classes ({', '.join(names)}), got '{name}'")
        if given.count(name) > 1:
            raise ValueError(f"expected every class once, got '{name}' twice")
    danger = [name for name in names if name not in given]
    if not traversable or not danger:
        raise ValueError(
            f"expected traversable and other classes, got {list(traversable)} and {danger}"
        )
    block: dict[str, Any] = {
        "plugin": f"{LAYER}::SemanticSegmentationLayer",
        "enabled": True,
        "observation_sources": " ".join(source for source, _, _ in sources),
    }
    for source, prefix, pointcloud in sources:
        block[source] = {
            "segmentation_topic": f"{prefix}/mask",
            "confidence_topic": f"{prefix}/confidence",
            "labels_topic": f"{prefix}/label_info",
            "pointcloud_topic": pointcloud,
            "max_obstacle_distance": 5.0,
            "min_obstacle_distance": 0.3,
            "tile_map_decay_time": 5.0,
            "class_types": ["traversable", "danger"],
            "traversable": _class_type(traversable, FREE_COST),
            "danger": _class_type(danger, LETHAL_COST),
        }
    return {LAYER: block}


def _class_type(names: Sequence[str], cost: int) -> dict[str, Any]:
    return {
        "classes": list(names),
        "base_cost": cost,
        "max_cost": cost,
        "mark_confidence": 0,
        "samples_to_max_cost": 0,
        "dominant_priority": False,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nav2_block", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--traversable", nargs="+", required=True, help="classes of cost 0")
    parser.add_argument("--ignored", nargs="*", default=[], help="classes without any cost")
    parser.add_argument("--pointcloud", nargs="+", required=True, help="topic, one per camera")
    parser.add_argument("--cameras", nargs="*", default=[], help="the node's parameter cameras")
    parser.add_argument("--merge", nargs="*", default=[], help="the parameter classes.merge")
    parser.add_argument("--node", default="/segmentation", help="full name of the node")
    parser.add_argument("--weights", help="checkpoint; without: the weights in the package")
    return parser


def main(args: Sequence[str] | None = None) -> int:
    """Print the block; return the exit code."""
    given = _parser().parse_args(args)
    try:
        named = make_settings({"cameras": tuple(given.cameras)}).cameras
        cameras = list(named) or ["camera"]
        if len(given.pointcloud) != len(cameras):
            raise ValueError(
                f"expected one point cloud per camera, got {len(given.pointcloud)} for {cameras}"
            )
        model = load_model(given.weights, "cpu", "float32")
        names = merge_classes(model.info.classes, given.merge).table.names
        prefixes = [f"{given.node}/{name}" if named else given.node for name in cameras]
        sources = list(zip(cameras, prefixes, given.pointcloud, strict=True))
        block = nav2_block(names, given.traversable, given.ignored, sources)
    except ValueError as error:
        print(f"nav2_block: {error}", file=sys.stderr)
        return 1
    print(yaml.safe_dump(block, sort_keys=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
