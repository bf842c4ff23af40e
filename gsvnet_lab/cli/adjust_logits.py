# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet adjust-logits`: fit one additive logit per class to labelled images."""

from __future__ import annotations

import argparse

from gsvnet_lab.cli.options import (
    add_data_option,
    add_model_options,
    add_split_option,
    chosen_model,
    chosen_split,
)
from gsvnet_lab.fitting.logit_adjustment import fit_logit_adjustment
from gsvnet_lab.fitting.store import store_logit_adjustment


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("adjust-logits")
    add_data_option(parser)
    add_split_option(parser, "train")
    parser.add_argument(
        "--store", action="store_true", help="store the additive logits in the weights file"
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights, model = chosen_model(options)
    fit = fit_logit_adjustment(model, chosen_split(options, model.info))
    print(f"mIoU of the images: {fit.miou_before:.1f}, with additive logits {fit.miou_after:.1f}")
    for name, value in zip(model.info.classes.names, fit.values, strict=True):
        print(f"{name:>12} {value:+.2f}")
    if options.store:
        command = f"gsvnet adjust-logits --split {options.split}"
        store_logit_adjustment(weights, fit.values, f"{model.info.command}; {command}".lstrip("; "))
