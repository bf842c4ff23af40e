# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet import`: released checkpoints become weights of this project."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsvnet_lab.released.keyframe import read_released_keyframe
from gsvnet_lab.released.propagation import read_released_propagation
from gsvnet_model.checkpoint import save_model
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.outputs.classes import CAMVID, CITYSCAPES, ClassTable


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("import")
    parser.add_argument("keyframe", type=Path, help="SwiftNet-R18 or BiSeNet-R18 checkpoint")
    parser.add_argument("propagation", type=Path, help="GSVNet checkpoint with FlowLight")
    parser.add_argument("output", type=Path, help="safetensors file to write")
    parser.add_argument(
        "--input-scale",
        type=float,
        default=0.75,
        help="keyframe input scale (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    keyframe = read_released_keyframe(options.keyframe)
    propagation = read_released_propagation(options.propagation)
    keyframe_network = build_keyframe_network(keyframe.architecture, keyframe.num_classes)
    keyframe_network.load_state_dict(keyframe.state_dict)
    propagation_network = PropagationNetwork(propagation.config)
    propagation_network.load_state_dict(propagation.state_dict)
    if keyframe.num_classes != propagation.config.num_classes:
        raise ValueError(
            f"expected checkpoints of equally many classes, got {keyframe.num_classes} in "
            f"{options.keyframe} and {propagation.config.num_classes} in {options.propagation}"
        )
    info = ModelInfo(
        keyframe_network=keyframe.architecture,
        classes=_class_table(keyframe.num_classes),
        normalisation=Normalisation(keyframe.mean, keyframe.std),
        input_scale=options.input_scale,
        # The released networks were trained on grid images sampled without a filter.
        grid_filter="bilinear",
        command=f"gsvnet import {options.keyframe.name} {options.propagation.name}",
    )
    save_model(options.output, keyframe_network, propagation_network, info)
    print(f"weights: {options.output}")


def _class_table(num_classes: int) -> ClassTable:
    for table in (CITYSCAPES, CAMVID):
        if table.num_classes == num_classes:
            return table
    return ClassTable.numbered(num_classes)
