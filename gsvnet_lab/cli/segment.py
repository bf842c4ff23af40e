# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet segment`: labels for a video file or a folder of images."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gsvnet_lab.cli.options import add_model_options
from gsvnet_lab.data.images import open_images
from gsvnet_model.checkpoint import load_model
from gsvnet_model.outputs.overlay import overlay
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL, VideoSegmenter

_VIDEO = "overlay.mp4"
_FOLDERS = ("labels", "confidence")
_MOST_TICKS = 65535


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("segment")
    parser.add_argument("source", help="video file, folder of images, or street")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--interval",
        type=int,
        default=DEFAULT_KEYFRAME_INTERVAL,
        help="frames from one keyframe to the next (default: %(default)s)",
    )
    parser.add_argument("--frames", type=int, help="label at most so many frames")
    parser.add_argument(
        "--input-scale",
        type=float,
        help="keyframe input pixels per image pixel (default: what the weights are meant for)",
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Write overlay.mp4, labels/NNNNNN.png (class ids) and confidence/NNNNNN.png."""
    _check_unused(options.output)
    model = load_model(options.weights, options.device, options.precision, options.input_scale)
    segmenter = VideoSegmenter(model, options.interval)
    source = open_images(options.source, num_images=options.frames)
    for folder in _FOLDERS:
        (options.output / folder).mkdir(parents=True, exist_ok=True)
    palette = model.info.classes.palette_array()
    video = None
    for index, image in enumerate(tqdm(source.images(), unit="frame")):
        if video is None:
            size = (image.shape[1], image.shape[0])
            path = options.output / _VIDEO
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            video = cv2.VideoWriter(str(path), codec, _writable_rate(source.rate_hz), size)
            if not video.isOpened():
                raise ValueError(
                    f"expected a size that OpenCV can write as MPEG-4 (sides below 8192 pixels), "
                    f"got {size[0]}x{size[1]}; cannot write {path}"
                )
        step = segmenter.step(image)
        name = f"{index:06d}.png"
        _write(options.output / "labels" / name, step.labels)
        _write(options.output / "confidence" / name, step.confidence)
        drawn = overlay(image, step.labels, palette)
        # Images of a folder may differ in size, those of a video do not.
        video.write(cv2.resize(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), size))
    if video is not None:
        video.release()
    print(f"labels, confidence and overlay.mp4: {options.output}")


def _check_unused(output: Path) -> None:
    """Check that results overwrite nothing: neither the source nor what an earlier run left.

    Raises:
        ValueError: if something lies where they go.
    """
    found = [_VIDEO] if (output / _VIDEO).exists() else []
    found += [name for name in _FOLDERS if any((output / name).glob("*"))]
    if found:
        raise ValueError(
            f"expected a folder for the results that holds none of {_VIDEO}, "
            f"{' and '.join(_FOLDERS)}, but {output} has {', '.join(found)}; name another or move "
            "them away"
        )


def _writable_rate(rate_hz: float) -> float:
    """Return the nearest rate that MPEG-4 can hold: its clock has 65535 ticks a second at most."""
    for decimals in (3, 2, 1):
        if rate_hz * 10**decimals <= _MOST_TICKS:
            return round(rate_hz, decimals)
    return round(rate_hz)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), image):
        raise ValueError(f"expected to write {path}, but it failed; is the disk full?")
