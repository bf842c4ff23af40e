# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet ablate`: train every variant of the propagation network and compare them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from gsvnet_lab.cli.options import add_data_option, add_device_option, add_json_option
from gsvnet_lab.data.camvid import find_camvid
from gsvnet_lab.reporting.environment import describe_machine, sha256, write_json
from gsvnet_lab.training.ablation import VARIANTS, ablate, ablation_table
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.recipe import read_recipe
from gsvnet_model.checkpoint import default_weights, read_networks
from gsvnet_model.hardware.device import choose_device


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("ablate")
    parser.add_argument("--recipe", type=Path, required=True, help="YAML file in recipes/")
    parser.add_argument(
        "--weights",
        type=Path,
        help="weights whose keyframe and flow network all variants use (default: shipped)",
    )
    names = [variant.name for variant in VARIANTS]
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=names,
        default=names,
        help="variants to train (default: all)",
    )
    add_data_option(parser)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the runs of all variants"
    )
    add_json_option(parser)
    add_device_option(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    recipe = read_recipe(options.recipe, PropagationRecipe)
    weights = options.weights or default_weights()
    device = choose_device(options.device)
    rows = list(
        ablate(
            recipe,
            *read_networks(weights),
            find_camvid(options.data),
            options.output,
            device,
            [variant for variant in VARIANTS if variant.name in options.variants],
        )
    )
    print(ablation_table(rows))
    if options.json:
        write_json(
            options.json,
            {
                "recipe": options.recipe.name,
                "weights": weights.name,
                "sha256": sha256(weights),
                "machine": describe_machine(device),
                "rows": [dataclasses.asdict(row) for row in rows],
            },
        )
