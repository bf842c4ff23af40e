# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Options that several verbs share: sizes, numbers, data, weights, device, clock, figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsvnet_lab.benchmark.timing import CLOCKS
from gsvnet_lab.data.camvid import DATA_VARIABLE, LabelledImages, find_camvid, open_split
from gsvnet_model.checkpoint import default_weights, load_model
from gsvnet_model.hardware.device import AUTO, PRECISIONS
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo


def image_size(text: str) -> tuple[int, int]:
    """Return WxH as (height, width); a type for argparse.

    Raises:
        argparse.ArgumentTypeError: if the text is no WxH.
    """
    width, separator, height = text.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WxH such as 480x360, got '{text}'")
    return int(height), int(width)


def counting_number(text: str) -> int:
    """Return a whole number of 1 or more; a type for argparse.

    Raises:
        argparse.ArgumentTypeError: if the text is no such number.
    """
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got '{text}'")
    return int(text)


def add_data_option(parser: argparse._ActionsContainer) -> None:
    """Declare the folder of labelled images; see `find_camvid`."""
    parser.add_argument(
        "--data", type=Path, help=f"CamVid folder (default: the value of {DATA_VARIABLE})"
    )


def add_split_option(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare the split of the folder of labelled images."""
    parser.add_argument(
        "--split",
        default=default,
        help="split of the data folder, labelled in the weights' classes (default: %(default)s)",
    )


def chosen_split(options: argparse.Namespace, info: ModelInfo) -> LabelledImages:
    """Return the split that was chosen, labelled in the class ids of the weights."""
    return open_split(find_camvid(options.data), options.split, info.classes.num_classes)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Declare the device that networks run on."""
    parser.add_argument("--device", default=AUTO, help="auto, cpu, cuda or cuda:N (%(default)s)")


def add_precision_option(parser: argparse.ArgumentParser) -> None:
    """Declare the precision of the keyframe network."""
    parser.add_argument(
        "--precision",
        default=AUTO,
        choices=PRECISIONS,
        help="number format of the keyframe network (%(default)s)",
    )


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """Declare the number of threads that torch computes in."""
    parser.add_argument(
        "--threads", type=counting_number, help="threads that torch uses (default: its own choice)"
    )


def add_clock_option(parser: argparse.ArgumentParser) -> None:
    """Declare the clock of measurements."""
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default=CLOCKS[0],
        help="wall time, or cpu time of all threads where other programs are busy (%(default)s)",
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Declare the file for figures."""
    parser.add_argument("--json", type=Path, help="JSON file to write the figures to")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare weights, device and precision."""
    parser.add_argument(
        "--weights", type=Path, help="safetensors file (default: the shipped weights)"
    )
    add_device_option(parser)
    add_precision_option(parser)


def chosen_model(options: argparse.Namespace) -> tuple[Path, SegmentationModel]:
    """Return the chosen weights file and its model, ready to run."""
    weights = options.weights or default_weights()
    return weights, load_model(weights, options.device, options.precision)
