# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What several verbs are told: sizes, numbers, the data and the weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsvnet_lab.data.camvid import DATA_VARIABLE, LabelledImages, find_camvid, open_split
from gsvnet_model.checkpoint import default_weights, load_model
from gsvnet_model.hardware.device import AUTO, PRECISIONS
from gsvnet_model.model import SegmentationModel
from gsvnet_model.model_info import ModelInfo


def image_size(text: str) -> tuple[int, int]:
    """Return WxH as (height, width); a type for argparse.

    Raises:
        argparse.ArgumentTypeError: if the text is something else.
    """
    width, separator, height = text.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WxH such as 480x360, got '{text}'")
    return int(height), int(width)


def counting_number(text: str) -> int:
    """Return a whole number of 1 or more; a type for argparse.

    Raises:
        argparse.ArgumentTypeError: if the text is something else.
    """
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got '{text}'")
    return int(text)


def add_data_option(parser: argparse._ActionsContainer) -> None:
    """Declare where the labelled images lie; see `find_camvid`."""
    parser.add_argument("--data", type=Path, help=f"CamVid folder (default: {DATA_VARIABLE})")


def add_split_option(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare which of them are used."""
    parser.add_argument(
        "--split",
        default=default,
        help="split of the folder (default: %(default)s); its labels are class ids of the weights",
    )


def chosen_split(options: argparse.Namespace, info: ModelInfo) -> LabelledImages:
    """Return what `add_data_option` and `add_split_option` name, labelled in the weights' ids."""
    return open_split(find_camvid(options.data), options.split, info.classes.num_classes)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare which weights run where."""
    parser.add_argument("--weights", type=Path, help="safetensors file (default: shipped)")
    parser.add_argument("--device", default=AUTO, help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", default=AUTO, choices=PRECISIONS)


def chosen_model(options: argparse.Namespace) -> tuple[Path, SegmentationModel]:
    """Return the weights file of `add_model_options` and what it holds, ready to run."""
    weights = options.weights or default_weights()
    return weights, load_model(weights, options.device, options.precision)
