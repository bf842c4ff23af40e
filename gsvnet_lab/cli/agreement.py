# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet agreement`: propagated against per-frame labels, on any footage, without labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from gsvnet_lab.cli.options import add_json_option, add_model_options, chosen_model, counting_number
from gsvnet_lab.cli.propagation_option import add_propagation_option, chosen_universal
from gsvnet_lab.data.images import open_images
from gsvnet_lab.evaluation.agreement import AgreementCounts, measure_agreement
from gsvnet_lab.reporting.environment import describe_machine, sha256, write_json
from gsvnet_lab.reporting.model_card import markdown_table
from gsvnet_lab.universal.checkpoint import with_universal
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("agreement")
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="video file, folder of images, or street"
    )
    parser.add_argument(
        "--interval",
        type=counting_number,
        default=DEFAULT_KEYFRAME_INTERVAL,
        help="frames from one keyframe to the next, 2 or more (default: %(default)s)",
    )
    parser.add_argument(
        "--frames", type=counting_number, help="only the first of each video (default: all)"
    )
    add_json_option(parser)
    add_propagation_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights, model = chosen_model(options)
    universal = chosen_universal(options)
    if universal is not None:
        model = with_universal(model, universal)
    counted: dict[str, AgreementCounts] = {}
    for video in options.videos:
        images = open_images(video, num_images=options.frames).images()
        name = Path(video).name
        counted[video] = measure_agreement(model, tqdm(images, desc=name), options.interval)
    in_all = AgreementCounts()
    for counts in counted.values():
        in_all.merge(counts)
    header = ("percent of pixels that agree", *(f"age {age}" for age in range(1, options.interval)))
    rows = []
    for video, counts in counted.items():
        for kind, values in _lists(counts).items():
            rows.append((f"{Path(video).name}, {kind}", *(f"{value:.1f}" for value in values[1:])))
    print(markdown_table(header, rows))
    if options.json:
        write_json(
            options.json,
            {
                "weights": weights.name,
                "sha256": sha256(weights),
                "propagation": Path(options.propagation).name,
                "interval": options.interval,
                "machine": describe_machine(model.device),
                **_lists(in_all),
                "videos": {video: _lists(counts) for video, counts in counted.items()},
            },
        )


def _lists(counts: AgreementCounts) -> dict[str, list[float]]:
    return {"agreement": counts.agreement(), "repeated": counts.repetition()}
