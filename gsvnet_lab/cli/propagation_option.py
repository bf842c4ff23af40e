# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The option that chooses the network that propagates, for verbs that compare such networks."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsvnet_lab.universal.checkpoint import default_universal

OWN = "own"
"""Chooses the propagation network of the weights."""

UNIVERSAL = "universal"
"""Chooses the universal network of the repository."""


def add_propagation_option(parser: argparse.ArgumentParser) -> None:
    """Declare which network propagates."""
    parser.add_argument(
        "--propagation",
        default=OWN,
        metavar=f"{OWN}|{UNIVERSAL}|FILE",
        help="network that propagates: that of the weights, the universal one of the repository, "
        "or a universal one of a file (default: %(default)s)",
    )


def chosen_universal(options: argparse.Namespace) -> Path | None:
    """Return the file of the universal network that was chosen; None for the weights' own.

    Raises:
        ValueError: if the repository's one was chosen and is not there.
    """
    if options.propagation == OWN:
        return None
    return default_universal() if options.propagation == UNIVERSAL else Path(options.propagation)
