# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet evaluate`: accuracy by keyframe interval, as the paper measures it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from gsvnet_model.checkpoint import default_weights, load_model, store_metrics
from gsvnet_model.cli.segment import add_model_options
from gsvnet_model.data.camvid import DATA_VARIABLE, find_camvid, open_split
from gsvnet_model.environment import describe_machine, sha256, write_json
from gsvnet_model.evaluation import KEYFRAME_OUTPUTS, DistanceEvaluation, evaluate_distances
from gsvnet_model.model_card import markdown_table, write_model_card


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("evaluate", help="measure the accuracy on a labelled clip")
    parser.add_argument("--data", type=Path, help=f"CamVid folder (default: {DATA_VARIABLE})")
    parser.add_argument("--split", default="val", help="split of the folder (default: %(default)s)")
    parser.add_argument("--max-interval", type=int, default=5, help="largest keyframe interval")
    parser.add_argument(
        "--keyframe-output",
        choices=KEYFRAME_OUTPUTS,
        default="network",
        help="labels of keyframes from the network's logits or, as in the paper, from the grid",
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--card", type=Path, help="file for the model card")
    parser.add_argument(
        "--store", action="store_true", help="store the average mIoU in the weights file"
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights = options.weights or default_weights()
    model = load_model(weights, options.device, options.precision)
    split = open_split(find_camvid(options.data), options.split)
    result = evaluate_distances(model, split, options.max_interval, options.keyframe_output)
    command = f"gsvnet evaluate --split {options.split} --max-interval {options.max_interval}"
    if options.keyframe_output != "network":
        command += f" --keyframe-output {options.keyframe_output}"
    if options.store:
        store_metrics(
            weights,
            {
                f"average_miou_interval_{interval}": result.average_miou(interval)
                for interval in range(1, options.max_interval + 1)
            },
        )
    intervals = _interval_table(result)
    classes = _class_table(result, model.info.classes.names)
    print(f"{intervals}\n\n{classes}")
    if options.json:
        write_json(
            options.json,
            {
                "command": command,
                "weights": weights.name,
                "sha256": sha256(weights),
                "frames": len(split),
                "machine": describe_machine(model.device),
                **_figures(result, model.info.classes.names),
            },
        )
    if options.card:
        measured = f"Measured with `{command}` on the {len(split)} frames of `{options.split}`."
        write_model_card(
            options.card,
            weights,
            {
                "Accuracy by keyframe interval": f"{measured}\n\n{intervals}",
                "IoU by class": classes,
            },
        )


def _interval_table(result: DistanceEvaluation) -> str:
    rows = [
        (
            interval,
            result.average_miou(interval),
            result.minimum_miou(interval),
            result.warped[interval - 1].miou(),
            result.repeated[interval - 1].miou(),
        )
        for interval in range(1, len(result.propagated) + 1)
    ]
    header = ("interval", "average mIoU", "minimum mIoU", "warp only, min.", "repeat, min.")
    return markdown_table(header, rows)


def _class_table(result: DistanceEvaluation, names: tuple[str, ...]) -> str:
    last = len(result.propagated) - 1
    scores = [100 * result.propagated[distance].iou() for distance in (0, last)]
    rows = [(name, *(float(score[index]) for score in scores)) for index, name in enumerate(names)]
    return markdown_table(("class", "keyframe IoU", f"IoU {last} frames later"), rows)


def _figures(result: DistanceEvaluation, names: tuple[str, ...]) -> dict[str, object]:
    intervals = range(1, len(result.propagated) + 1)
    return {
        "average_miou": [result.average_miou(interval) for interval in intervals],
        "minimum_miou": [result.minimum_miou(interval) for interval in intervals],
        "warped_miou": [matrix.miou() for matrix in result.warped],
        "repeated_miou": [matrix.miou() for matrix in result.repeated],
        "pixel_accuracy": [matrix.pixel_accuracy() for matrix in result.propagated],
        "iou": [
            {
                name: None if math.isnan(value) else float(100 * value)
                for name, value in zip(names, matrix.iou(), strict=True)
            }
            for matrix in result.propagated
        ],
    }
