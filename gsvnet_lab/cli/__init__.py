# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The command `gsvnet`: everything that is not the node, as verbs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gsvnet_lab.extras import LAB, OFFLINE, require_extra


@dataclass(frozen=True)
class Verb:
    """One verb of the command.

    Attributes:
        name: what is typed.
        module: the module of `gsvnet_lab.cli` that has its `add_parser`. It is imported only when
            the verb is called, since a robot's install lacks what most verbs need.
        help: what the verb does, one line.
        extra: the extra of setup.py that the verb needs; None where a robot's install has all.
        alias: an older name.
    """

    name: str
    module: str
    help: str
    extra: str | None = LAB
    alias: str | None = None


VERBS = (
    Verb("segment", "segment", "label a video file or a folder of images", OFFLINE),
    Verb("evaluate", "evaluate", "measure accuracy, confidence, stability and cost"),
    Verb(
        "agreement",
        "agreement",
        "compare propagated with per-frame labels on footage without labels",
    ),
    Verb(
        "adjust-logits",
        "adjust_logits",
        "fit one additive logit per class to labelled images, for the highest mIoU",
        alias="balance",  # its name when the shipped weights were made
    ),
    Verb("calibrate", "calibrate", "fit confidences to labelled footage of your own"),
    Verb(
        "fit-quality", "fit_quality", "fit the estimate that keyframe policies go by to the weights"
    ),
    Verb("schedule", "schedule", "compare keyframe policies"),
    Verb("benchmark", "benchmark", "measure speed and memory on the built-in street drive"),
    Verb("latency", "latency", "compare blocking and background keyframes"),
    Verb("tradeoff", "tradeoff", "plot accuracy over throughput"),
    Verb("train", "train", "train a keyframe or propagation network"),
    Verb("ablate", "ablate", "compare variants of the propagation network"),
    Verb(
        "combine",
        "combine",
        "propagate keyframes of one weights file with the network of another",
        extra=None,
    ),
    Verb(
        "import",
        "import_released",
        "convert released checkpoints (.pt, .pth, .tar)",
        extra=None,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; a wrong input ends with one line on what was expected.

    Args:
        arguments: the words after `gsvnet`; None takes those of the command line.

    Returns:
        The exit status: 0, or 2 when something was wrong with the input.

    Raises:
        SystemExit: for help (status 0), for arguments that no verb has and for an extra that is
            not installed (status 2).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="gsvnet", description=__doc__)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        if words and words[0] in (verb.name, verb.alias):
            words[0] = verb.name
            _add_called(verb, verbs)
        else:
            verbs.add_parser(verb.name, help=verb.help)
    options = parser.parse_args(words)
    try:
        options.run(options)
    except (OSError, ValueError) as error:
        print(f"gsvnet: {error}", file=sys.stderr)
        return 2
    return 0


def _add_called(verb: Verb, verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Import the verb that was called and let it declare its arguments."""
    if verb.extra is not None:
        require_extra(f"gsvnet {verb.name}", verb.extra)
    importlib.import_module("gsvnet_model")  # before torch: it sets how torch's threads wait
    importlib.import_module(f"gsvnet_lab.cli.{verb.module}").add_parser(verbs)
