# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet balance`: fit how readily each class is seen to labelled stills."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsvnet_model.checkpoint import default_weights, load_model, store_class_bias
from gsvnet_model.class_bias import fit_class_bias
from gsvnet_model.cli.segment import add_model_options
from gsvnet_model.data.camvid import DATA_VARIABLE, find_camvid, open_split


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "balance", help="fit how readily each class is seen, for the highest mIoU"
    )
    parser.add_argument("--data", type=Path, help=f"CamVid folder (default: {DATA_VARIABLE})")
    parser.add_argument(
        "--split", default="train", help="split of the folder (default: %(default)s)"
    )
    parser.add_argument(
        "--store", action="store_true", help="store the class bias in the weights file"
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights = options.weights or default_weights()
    model = load_model(weights, options.device, options.precision)
    fit = fit_class_bias(model, open_split(find_camvid(options.data), options.split))
    print(f"mIoU of the stills: {fit.miou_before:.1f}, with the bias {fit.miou_after:.1f}")
    for name, value in zip(model.info.classes.names, fit.values, strict=True):
        print(f"{name:>12} {value:+.2f}")
    if options.store:
        command = f"gsvnet balance --split {options.split}"
        store_class_bias(weights, fit.values, f"{model.info.command}; {command}".lstrip("; "))
