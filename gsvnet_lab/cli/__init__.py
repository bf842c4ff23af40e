# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The command `gsvnet`: everything that is not the node, as verbs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gsvnet_lab.cli import (
    ablate,
    adjust_logits,
    benchmark,
    calibrate,
    combine,
    evaluate,
    fit_quality,
    import_released,
    latency,
    schedule,
    segment,
    tradeoff,
    train,
)

_ADD_PARSERS = (
    segment.add_parser,
    evaluate.add_parser,
    adjust_logits.add_parser,
    calibrate.add_parser,
    fit_quality.add_parser,
    schedule.add_parser,
    benchmark.add_parser,
    latency.add_parser,
    tradeoff.add_parser,
    train.add_parser,
    ablate.add_parser,
    combine.add_parser,
    import_released.add_parser,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; a wrong input ends with one line on what was expected.

    Returns:
        The exit status: 0, or 2 when something was wrong with the input.
    """
    parser = argparse.ArgumentParser(prog="gsvnet", description=__doc__)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for add_parser in _ADD_PARSERS:
        add_parser(verbs)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (OSError, ValueError) as error:
        print(f"gsvnet: {error}", file=sys.stderr)
        return 2
    return 0
