# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet latency`: blocking against asynchronous keyframes at a camera's rate."""

from __future__ import annotations

import argparse
import math

from gsvnet_lab.cli.options import (
    add_data_option,
    add_json_option,
    add_model_options,
    chosen_model,
    counting_number,
)
from gsvnet_lab.data.camvid import find_camvid, open_split
from gsvnet_lab.evaluation.latency import LatencyFigures, measure_latency
from gsvnet_lab.evaluation.metrics import check_labelled
from gsvnet_lab.reporting.environment import describe_machine, sha256, write_json
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("latency")
    add_data_option(parser)
    parser.add_argument(
        "--rate", type=float, default=15.0, help="rate of the camera, Hz (%(default)g)"
    )
    parser.add_argument(
        "--interval",
        type=counting_number,
        default=DEFAULT_KEYFRAME_INTERVAL,
        help="frames from one keyframe to the next (default: %(default)s)",
    )
    parser.add_argument(
        "--repetitions",
        type=counting_number,
        default=3,
        help="number of times the clip is played to each mode (%(default)s)",
    )
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if not 0 < options.rate < math.inf:
        raise ValueError(f"expected a rate of more than 0 Hz, got {options.rate:g}")
    weights, model = chosen_model(options)
    split = open_split(find_camvid(options.data), "val", model.info.classes.num_classes)
    check_labelled(split[options.interval :], "the split val")
    modes = measure_latency(model, split, options.rate, options.interval, options.repetitions)
    unit = modes["blocking"].propagated_ms
    rows = {mode: _figures(figures, unit) for mode, figures in modes.items()}
    print(
        f"{options.rate:g} Hz, interval {options.interval}; "
        f"a propagated frame takes {unit:.1f} ms\n"
    )
    print("| keyframes | latency p50, ms | p99, ms | p99 / propagated | mIoU | mean age |")
    print("| --- | --- | --- | --- | --- | --- |")
    for mode, row in rows.items():
        print(
            f"| {mode} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['p99_ratio']:.1f} "
            f"| {row['miou']:.1f} | {row['keyframe_age']:.1f} |"
        )
    if options.json:
        write_json(
            options.json,
            {
                "command": f"gsvnet latency --rate {options.rate:g} --interval {options.interval} "
                f"--repetitions {options.repetitions}",
                "weights": weights.name,
                "sha256": sha256(weights),
                "machine": describe_machine(model.device),
                "modes": rows,
            },
        )


def _figures(figures: LatencyFigures, unit_ms: float) -> dict[str, float]:
    """Return the figures of a mode; `unit_ms` is the time of a propagated frame when blocking."""
    return {
        "propagated_ms": figures.propagated_ms,
        "p50_ms": figures.latency_at(50),
        "p95_ms": figures.latency_at(95),
        "p99_ms": figures.latency_at(99),
        "p99_ratio": figures.latency_at(99) / unit_ms,
        "miou": figures.miou,
        "keyframe_age": figures.keyframe_age,
        "keyframe_share": figures.keyframe_share,
    }
