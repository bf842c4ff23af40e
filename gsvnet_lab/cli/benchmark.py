# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet benchmark`: speed and memory, side by side with the released arrangement."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os

import cv2
import torch

from gsvnet_lab.benchmark.beside import busy_processes
from gsvnet_lab.benchmark.device_resident import time_device_resident
from gsvnet_lab.benchmark.memory import stream_memory
from gsvnet_lab.benchmark.report import WorkloadFigures, report
from gsvnet_lab.benchmark.runtimes import RUNTIMES, compare_runtimes, runtime_versions
from gsvnet_lab.benchmark.timing import MIN_IMAGES, clock_of, time_frames, time_streams
from gsvnet_lab.benchmark.workload import Workload
from gsvnet_lab.cli.options import (
    add_clock_option,
    add_json_option,
    add_model_options,
    add_threads_option,
    image_size,
)
from gsvnet_lab.reporting.environment import describe_machine, write_json
from gsvnet_model.hardware.device import choose_device

_QUICK: dict[str, object] = {
    "sizes": [(96, 160)],
    "classes": [12],
    "intervals": [2],
    "streams": [2],
    "memory": True,
    "repetitions": 2,
}


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("benchmark")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=image_size,
        default=[(360, 480), (1024, 2048)],
        metavar="WxH",
        help="image sizes",
    )
    parser.add_argument(
        "--classes", nargs="+", type=int, default=[19], metavar="K", help="numbers of classes"
    )
    parser.add_argument(
        "--scales",
        nargs="+",
        type=float,
        default=[0.75],
        help="keyframe input pixels per image pixel and direction; 0 takes what the weights are "
        "meant for (default: 0.75)",
    )
    parser.add_argument(
        "--intervals", nargs="+", type=int, default=[2, 4], metavar="L", help="keyframe intervals"
    )
    parser.add_argument(
        "--streams", nargs="*", type=int, default=[], help="numbers of streams to run at once"
    )
    parser.add_argument("--memory", action="store_true", help="measure the memory of a stream")
    parser.add_argument(
        "--runtimes",
        nargs="*",
        choices=RUNTIMES,
        default=[],
        help="runtimes to compare with, on the CPU",
    )
    parser.add_argument(
        "--repetitions", type=int, default=10, help="repetitions that count (%(default)s)"
    )
    parser.add_argument(
        "--beside",
        type=int,
        default=0,
        metavar="N",
        help="processes that keep cores busy meanwhile (%(default)s)",
    )
    add_threads_option(parser)
    add_clock_option(parser)
    parser.add_argument(
        "--quick", action="store_true", help="measure everything once on small images, in seconds"
    )
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    for name in ("intervals", "streams"):
        if any(number < 1 for number in getattr(options, name)):
            raise ValueError(f"expected {name} of 1 or more, got {getattr(options, name)}")
    if options.repetitions < 1:
        raise ValueError(f"expected at least one repetition, got {options.repetitions}")
    # Not only where they are compared, which is after minutes of measuring.
    if options.runtimes and (device := choose_device(options.device)).type != "cpu":
        raise ValueError(f"expected device cpu to compare runtimes, got {device}")
    if options.quick:
        for name, value in _QUICK.items():
            setattr(options, name, value)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with busy_processes(options.beside):
        results = [
            _measure(
                Workload(size, classes, scale, options.weights, options.device, options.precision),
                options,
            )
            for size, classes, scale in itertools.product(
                options.sizes, options.classes, options.scales
            )
        ]
    print(report(results))
    if options.json:
        settings = {
            "clock": options.clock,
            "repetitions": options.repetitions,
            "beside": options.beside,
            "weights": options.weights.name if options.weights else "shipped",
            "precision": options.precision,
            "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
            "gomp_spincount": os.environ.get("GOMP_SPINCOUNT", ""),
            "opencv_threads": cv2.getNumThreads(),
            "runtimes": runtime_versions(options.runtimes),
        }
        machine = describe_machine(choose_device(options.device))
        figures = [dataclasses.asdict(result) for result in results]
        write_json(options.json, {"machine": machine, "settings": settings, "results": figures})


def _measure(workload: Workload, options: argparse.Namespace) -> WorkloadFigures:
    """Return the figures of one workload."""
    height, width = workload.size
    print(f"{width}x{height}, {workload.num_classes} classes, scale {workload.scale}", flush=True)
    model = workload.model()
    interval = max(options.intervals)
    images = workload.images(max(MIN_IMAGES, interval))
    timing = time_frames(
        model,
        workload.released_arrangement(),
        images,
        options.intervals,
        options.repetitions,
        options.clock,
    )
    return WorkloadFigures(
        size=f"{width}x{height}",
        classes=workload.num_classes,
        scale=workload.scale,
        timing=timing,
        device_resident=time_device_resident(model, images, options.intervals, options.repetitions)
        if model.device.type == "cuda"
        else None,
        streams=[
            time_streams(model, images, interval, count, options.repetitions)
            for count in options.streams
        ],
        memory=stream_memory(workload, interval) if options.memory else None,
        runtimes=compare_runtimes(
            workload, options.runtimes, options.repetitions, clock_of(options.clock)
        )
        if options.runtimes
        else [],
    )
