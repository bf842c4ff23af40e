# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet evaluate`: accuracy, confidence, stability and cost, as the paper measures them."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsvnet_lab.benchmark.complexity import measure_complexity
from gsvnet_lab.cli.options import (
    add_data_option,
    add_json_option,
    add_model_options,
    add_split_option,
    chosen_model,
    chosen_split,
)
from gsvnet_lab.cli.propagation_option import OWN, add_propagation_option, chosen_universal
from gsvnet_lab.data.cityscapes import open_cityscapes, read_train_ids
from gsvnet_lab.evaluation.cityscapes import evaluate_snippets
from gsvnet_lab.evaluation.distances import KEYFRAME_OUTPUTS, DistanceEvaluation, evaluate_distances
from gsvnet_lab.evaluation.metrics import check_labelled
from gsvnet_lab.evaluation.reliability import plot_reliability
from gsvnet_lab.evaluation.report import EvaluationReport
from gsvnet_lab.evaluation.stability import StreamFigures, measure_streams
from gsvnet_lab.fitting.store import store_metrics
from gsvnet_lab.reporting.environment import describe_machine, sha256, write_json
from gsvnet_lab.reporting.model_card import write_model_card
from gsvnet_lab.universal.checkpoint import read_universal, with_universal
from gsvnet_lab.universal.network import UniversalPropagation
from gsvnet_model.checkpoint import read_networks
from gsvnet_model.model import SegmentationModel
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL
from gsvnet_model.stream.state import DEFAULT_TEMPORAL_BLENDING
from gsvnet_offline.sources.image_file import read_image


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("evaluate")
    data = parser.add_mutually_exclusive_group()
    add_data_option(data)
    data.add_argument("--cityscapes", type=Path, help="Cityscapes folder to evaluate on instead")
    add_split_option(parser, "val")
    parser.add_argument(
        "--max-interval", type=int, default=5, help="largest keyframe interval (%(default)s)"
    )
    parser.add_argument(
        "--keyframe-output",
        choices=KEYFRAME_OUTPUTS,
        default="network",
        help="decode the labels of keyframes from the network's logits or, as in the paper, from "
        "logits on the grid (%(default)s)",
    )
    add_json_option(parser)
    parser.add_argument("--plot", type=Path, help="image file to draw the reliability diagram to")
    parser.add_argument("--card", type=Path, help="Markdown file to write the model card to")
    parser.add_argument(
        "--store", action="store_true", help="store the average mIoU in the weights file"
    )
    add_propagation_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    universal = chosen_universal(options)
    if universal is not None and (options.store or options.card):
        raise ValueError(
            f"expected --propagation {OWN} with --store and --card, got {options.propagation}: "
            "figures of another propagation network do not belong to the weights"
        )
    weights, model = chosen_model(options)
    propagation: PropagationNetwork | UniversalPropagation
    keyframe, propagation, info = read_networks(weights)
    if universal is not None:
        model = with_universal(model, universal)
        propagation, _ = read_universal(universal)
    measure = _measure_cityscapes if options.cityscapes else _measure_camvid
    result, size, streams, num_frames = measure(model, options)
    report = EvaluationReport(
        result,
        measure_complexity(keyframe, propagation, info, size),
        streams,
        model.info.classes.names,
    )
    command = _command(options)
    if options.store:
        store_metrics(
            weights,
            {
                f"average_miou_interval_{interval}": result.average_miou(interval)
                for interval in range(1, options.max_interval + 1)
            },
        )
    tables = report.tables()
    print("\n\n".join(tables.values()))
    if options.json:
        write_json(
            options.json,
            {
                "command": command,
                "weights": weights.name,
                "sha256": sha256(weights),
                "propagation": Path(options.propagation).name,
                "frames": num_frames,
                "machine": describe_machine(model.device),
                **report.figures(),
            },
        )
    if options.plot:
        plot_reliability(result.reliability, options.plot)
    if options.card:
        measured = f"Measured with `{command}` on the {num_frames} frames of `{options.split}`."
        first, *others = tables.items()
        heading, table = first
        write_model_card(options.card, weights, {heading: f"{measured}\n\n{table}", **dict(others)})


def _measure_camvid(
    model: SegmentationModel, options: argparse.Namespace
) -> tuple[DistanceEvaluation, tuple[int, int], list[StreamFigures], int]:
    """Return counts, image size (height, width), figures of streams and number of judged frames."""
    split = chosen_split(options, model.info)
    check_labelled(split[options.max_interval - 1 :], f"the split {options.split}")
    result = evaluate_distances(model, split, options.max_interval, options.keyframe_output)
    intervals = range(2, max(options.max_interval, 2) + 1)
    kinds = [
        (1, 0.0),
        (min(DEFAULT_KEYFRAME_INTERVAL, intervals[-1]), 0.0),
        *((interval, DEFAULT_TEMPORAL_BLENDING) for interval in intervals),
    ]
    judged = len(split) - (options.max_interval - 1)  # those that every distance can reach
    return result, split[0][1].shape, measure_streams(model, split, kinds), judged


def _measure_cityscapes(
    model: SegmentationModel, options: argparse.Namespace
) -> tuple[DistanceEvaluation, tuple[int, int], list[StreamFigures], int]:
    """Return counts, image size, no streams, number of snippets: single labels tell no flicker."""
    snippets = open_cityscapes(options.cityscapes, options.split, options.max_interval)
    truths = ((snippet, read_train_ids(snippet.label_file)) for snippet in snippets)
    check_labelled(truths, f"the split {options.split}")
    result = evaluate_snippets(model, snippets, options.keyframe_output)
    height, width = read_image(snippets[0].image_files[-1]).shape[:2]
    return result, (height, width), [], len(snippets)


def _command(options: argparse.Namespace) -> str:
    """Return the command as others would give it."""
    data = "--cityscapes CITYSCAPES " if options.cityscapes else ""
    command = f"gsvnet evaluate {data}--split {options.split} --max-interval {options.max_interval}"
    if options.keyframe_output != "network":
        command += f" --keyframe-output {options.keyframe_output}"
    if options.propagation != OWN:
        command += f" --propagation {Path(options.propagation).name}"
    return command
