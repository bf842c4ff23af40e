# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet combine`: keyframe network of one weights file, propagation network of another."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from gsvnet_model.checkpoint import read_networks, save_model


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "combine",
        description="A trained propagation network propagates keyframes of any network that has "
        "the same classes, without training it again.",
    )
    parser.add_argument("keyframe", type=Path, help="weights to take the keyframe network from")
    parser.add_argument(
        "propagation", type=Path, help="weights to take the propagation network from"
    )
    parser.add_argument("output", type=Path, help="safetensors file to write")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    keyframe, _, info = read_networks(options.keyframe)
    _, propagation, lender = read_networks(options.propagation)
    for name in ("classes", "normalisation"):
        if getattr(info, name) != getattr(lender, name):
            raise ValueError(
                f"expected weights of the same {name}, got others in {options.propagation} than in "
                f"{options.keyframe}"
            )
    command = f"{info.command}; gsvnet combine {options.keyframe.name} {options.propagation.name}"
    info = dataclasses.replace(
        info,
        grid_stride=lender.grid_stride,
        grid_filter=lender.grid_filter,
        # The first temperature is that of keyframes.
        temperatures=(info.temperatures[0], *lender.temperatures[1:]),
        temperature_slope=lender.temperature_slope,
        propagation_trained=lender.propagation_trained,
        quality=lender.quality,
        metrics={},
        command=command,
    )
    save_model(options.output, keyframe, propagation, info, torch.float16)
    print(
        f"weights: {options.output}; 'gsvnet fit-quality --store' fits the estimate of quality to "
        "this pair of networks"
    )
