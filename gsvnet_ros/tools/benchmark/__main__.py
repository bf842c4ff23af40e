# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`ros2 run gsvnet_ros benchmark overhead|cameras|soak`: measure the node over real topics."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.extras import OFFLINE, require_extra

# Before the imports that need the extra:
# ruff: noqa: E402
require_extra("benchmark", OFFLINE)

from gsvnet_lab.cli.options import image_size
from gsvnet_lab.data.images import BUILT_IN, open_images
from gsvnet_lab.reporting.environment import describe_machine, write_json
from gsvnet_lab.reporting.model_card import markdown_table
from gsvnet_model.hardware.device import choose_device
from gsvnet_ros.startup.own_environment import NotInstalledError, prepare_environment
from gsvnet_ros.tools.benchmark.overhead import OverheadFigures, measure_overhead
from gsvnet_ros.tools.benchmark.probe import NoAnswerError
from gsvnet_ros.tools.benchmark.rig import RigFigures, measure_rig
from gsvnet_ros.tools.benchmark.soak import SoakFigures, soak

_NUM_IMAGES = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; return the exit code."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        logs = options.logs or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        try:
            prepare_environment(logs)
            figures = options.run(options, logs)
        except (NotInstalledError, NoAnswerError, ValueError) as error:
            print(f"benchmark: {error}", file=sys.stderr)
            for log in sorted(logs.glob("*.log")):
                print(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
            return 1
    values = dataclasses.asdict(figures)
    rows = [(name.replace("_", " "), _text(value)) for name, value in values.items()]
    print(markdown_table((options.benchmark, ""), rows))
    if options.json:
        settings = {
            name: str(value)
            for name, value in vars(options).items()
            if name not in ("run", "json", "logs")
        }
        machine = describe_machine(choose_device("auto"))
        write_json(options.json, {"machine": machine, "settings": settings, "figures": values})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ros2 run gsvnet_ros benchmark", description=__doc__)
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    overhead = benchmarks.add_parser("overhead", help="the node against a bare relay")
    overhead.set_defaults(run=_overhead)
    overhead.add_argument("--count", type=int, default=100, help="images to each")
    cameras = benchmarks.add_parser("cameras", help="one node for several cameras")
    cameras.set_defaults(run=_cameras)
    cameras.add_argument("--cameras", type=int, default=4, help="number of cameras")
    cameras.add_argument("--ticks", type=int, default=60, help="images per camera")
    soaking = benchmarks.add_parser("soak", help="a long run at camera rate")
    soaking.set_defaults(run=_soak)
    soaking.add_argument("--minutes", type=float, default=30.0, help="duration")
    soaking.add_argument("--warm-up", type=float, default=1.0, help="minutes before the first look")
    soaking.add_argument("--rate", type=float, default=30.0, help="images per second")
    for benchmark, size in ((overhead, "1280x720"), (cameras, "640x480"), (soaking, "640x480")):
        benchmark.add_argument("--size", type=image_size, default=size, help="WxH of the images")
        benchmark.add_argument("--interval", type=int, help="keyframe interval (default: node's)")
        benchmark.add_argument("--weights", type=Path, help="a checkpoint (default: the shipped)")
        benchmark.add_argument("--json", type=Path, help="file for the figures")
        benchmark.add_argument("--logs", type=Path, help="folder for the logs of the processes")
    return parser


def _overhead(options: argparse.Namespace, logs: Path) -> OverheadFigures:
    return measure_overhead(_images(options), options.count, _parameters(options), logs)


def _cameras(options: argparse.Namespace, logs: Path) -> RigFigures:
    return measure_rig(_images(options), options.cameras, options.ticks, _parameters(options), logs)


def _soak(options: argparse.Namespace, logs: Path) -> SoakFigures:
    seconds, warm_up = 60 * options.minutes, 60 * options.warm_up
    if not 0 < warm_up < seconds:
        raise ValueError(
            f"expected a warm-up above 0 and shorter than {options.minutes:g} minutes, "
            f"got {options.warm_up:g}"
        )
    parameters = _parameters(options)
    return soak(_images(options), options.rate, seconds, warm_up, parameters, logs)


def _parameters(options: argparse.Namespace) -> dict[str, object]:
    given = {
        "keyframe.interval": options.interval,
        "model.weights": options.weights and str(options.weights.resolve()),
    }
    return {name: value for name, value in given.items() if value is not None}


def _images(options: argparse.Namespace) -> list[NDArray[np.uint8]]:
    height, width = options.size
    return list(open_images(BUILT_IN, height, width, num_images=_NUM_IMAGES).images())


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, tuple):
        return " -> ".join(_text(part) for part in value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
