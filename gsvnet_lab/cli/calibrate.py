# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet calibrate`: fit the confidences of weights to labelled footage."""

from __future__ import annotations

import argparse

from gsvnet_lab.cli.options import (
    add_data_option,
    add_model_options,
    add_split_option,
    chosen_model,
    chosen_split,
)
from gsvnet_lab.fitting.calibration import fit_temperatures
from gsvnet_lab.fitting.store import store_temperatures


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("calibrate")
    add_data_option(parser)
    add_split_option(parser, "val")
    parser.add_argument(
        "--ages",
        type=int,
        default=5,
        help="number of temperatures, one per keyframe age (%(default)s)",
    )
    parser.add_argument(
        "--store", action="store_true", help="store the temperatures in the weights file"
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights, model = chosen_model(options)
    temperatures = fit_temperatures(model, chosen_split(options, model.info), options.ages)
    before = ", ".join(f"{value:.2f}" for value in model.info.temperatures)
    print(f"temperatures by age: {', '.join(f'{value:.2f}' for value in temperatures)}")
    print(f"temperatures of the weights so far: {before}")
    if options.store:
        store_temperatures(weights, temperatures)
