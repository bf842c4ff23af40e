# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet tradeoff`: accuracy over throughput, against per-frame networks in the same run."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from gsvnet_lab.cli.options import (
    add_clock_option,
    add_data_option,
    add_device_option,
    add_json_option,
    add_precision_option,
    add_split_option,
    add_threads_option,
    chosen_split,
)
from gsvnet_lab.evaluation.metrics import check_labelled
from gsvnet_lab.reporting.environment import describe_machine, sha256, write_json
from gsvnet_lab.reporting.model_card import markdown_table
from gsvnet_lab.tradeoff.curves import (
    Lead,
    lead_at_interval,
    per_frame_curve,
    plot_tradeoff,
    propagation_curve,
    smallest_lead,
)
from gsvnet_lab.tradeoff.measure import (
    Contestant,
    TradeoffPoint,
    measure_accuracy,
    measure_throughput,
)
from gsvnet_model.checkpoint import default_weights, read_networks
from gsvnet_model.hardware.device import choose_device, choose_precision
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork

_EQUAL_THROUGHPUT_INTERVAL = 4
"""The interval at whose throughput networks are compared, as in the paper."""

_TIMED_IMAGES = 32
"""Images of the clip that streams are timed on, kept in memory."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("tradeoff")
    add_data_option(parser)
    add_split_option(parser, "val")
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="weights files; the propagation of the first is judged (default: the shipped weights)",
    )
    parser.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=[0.5, 0.6, 0.75, 1.0],
        help="keyframe input pixels per image pixel of per-frame segmentation; the scale that the "
        "weights are meant for is added",
    )
    parser.add_argument(
        "--intervals",
        type=int,
        nargs="+",
        default=[1, 2, 3, 4, 5],
        metavar="L",
        help="keyframe intervals",
    )
    parser.add_argument(
        "--repetitions", type=int, default=20, help="repetitions that count (%(default)s)"
    )
    add_clock_option(parser)
    add_threads_option(parser)
    add_device_option(parser)
    add_precision_option(parser)
    add_json_option(parser)
    parser.add_argument("--plot", type=Path, help="image file to draw the curves to")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if min(options.intervals) < 1 or max(options.intervals) < 2:
        raise ValueError(
            f"expected intervals of 1 or more and one above 1, got {options.intervals}"
        )
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    files: list[Path] = options.weights or [default_weights()]
    names = [path.stem for path in files]
    if len(set(names)) < len(names):
        raise ValueError(f"expected weights files of different names, got {names}")
    networks = {path.stem: read_networks(path) for path in files}
    infos = [info for _, _, info in networks.values()]
    if any(info.classes != infos[0].classes for info in infos):
        raise ValueError(f"expected weights of the same classes, got {', '.join(names)}")
    split = chosen_split(options, infos[0])
    check_labelled(split[max(options.intervals) - 1 :], f"the split {options.split}")
    models, contestants = _line_up(networks, split[0][1].shape, options)
    images = [split[index][0] for index in range(min(len(split), _TIMED_IMAGES))]
    frames_per_s = measure_throughput(
        models, contestants, images, options.repetitions, options.clock
    )
    miou = measure_accuracy(models, contestants, split)
    points = [TradeoffPoint(entry, miou[entry], frames_per_s[entry]) for entry in contestants]
    smallest = [
        smallest_lead(
            [
                point
                for point in propagation_curve(points, names[0])
                if point.contestant.interval > 1
            ],
            per_frame_curve(points, name),
        )
        for name in names
    ]
    equal = [
        lead_at_interval(points, name, _EQUAL_THROUGHPUT_INTERVAL)
        for name in names
        if _EQUAL_THROUGHPUT_INTERVAL in options.intervals
    ]
    print(_report(points, smallest, equal, names[0]))
    if options.json:
        write_json(
            options.json,
            {
                "machine": describe_machine(choose_device(options.device)),
                "settings": {
                    "clock": options.clock,
                    "repetitions": options.repetitions,
                    "precision": options.precision,
                    "split": options.split,
                    "frames": len(split),
                },
                "sha256": {path.stem: sha256(path) for path in files},
                "points": [
                    {
                        **dataclasses.asdict(point.contestant),
                        "average_miou": point.miou,
                        "frames_per_s": point.frames_per_s,
                    }
                    for point in points
                ],
                "smallest_lead": [dataclasses.asdict(lead) for lead in smallest],
                "lead_at_equal_throughput": [dataclasses.asdict(lead) for lead in equal],
            },
        )
    if options.plot:
        plot_tradeoff(points, options.plot)


def _line_up(
    networks: Mapping[str, tuple[nn.Module, PropagationNetwork, ModelInfo]],
    size: tuple[int, ...],
    options: argparse.Namespace,
) -> tuple[dict[tuple[str, float], SegmentationModel], list[Contestant]]:
    """Return the models by weights and input scale, and the contestants in their order.

    Args:
        networks: keyframe network, propagation network and info, by name of the weights.
        size: (height, width) of the images.
        options: options of the command.
    """
    height, width = size
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    models: dict[tuple[str, float], SegmentationModel] = {}
    contestants: list[Contestant] = []
    for name, (keyframe, propagation, info) in networks.items():
        own = info.scale_of(height, width)
        for scale in sorted({own, *options.scales}):
            scaled = info if scale == own else info.at_scale(scale)
            models[name, scale] = SegmentationModel(
                keyframe, propagation, scaled, device, precision
            )
            intervals = {1, *options.intervals} if scale == own else {1}
            contestants += [Contestant(name, scale, entry) for entry in sorted(intervals)]
    return models, contestants


def _report(
    points: Sequence[TradeoffPoint], smallest: Sequence[Lead], equal: Sequence[Lead], judged: str
) -> str:
    """Return the table of points and the two comparisons as Markdown."""
    rows = [
        (
            point.contestant.weights,
            f"{point.contestant.scale:.3g}",
            "per frame" if point.contestant.interval == 1 else point.contestant.interval,
            point.miou,
            point.frames_per_s,
        )
        for point in points
    ]
    parts = [markdown_table(("weights", "scale", "interval", "average mIoU", "frames/s"), rows)]
    header = ("per-frame network", "lead, points of mIoU", "at frames/s")
    intervals = sorted(
        {point.contestant.interval for point in points if point.contestant.interval > 1}
    )
    parts.append(
        f"Smallest lead of propagation with {judged} over each per-frame network, at any "
        f"throughput between interval {intervals[0]} and {intervals[-1]}:"
    )
    parts.append(markdown_table(header, [_lead_row(lead) for lead in smallest]))
    if equal:
        parts.append(
            f"Lead of interval {_EQUAL_THROUGHPUT_INTERVAL} over the same network per frame at a "
            "reduced input scale, at equal throughput:"
        )
        parts.append(markdown_table(header, [_lead_row(lead) for lead in equal]))
    return "\n\n".join(parts)


def _lead_row(lead: Lead) -> tuple[str, str, float]:
    points = "no scale is as fast" if lead.miou is None else f"{lead.miou:+.1f}"
    return lead.weights, points, lead.frames_per_s
