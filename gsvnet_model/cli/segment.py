# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet segment`: labels for a video file or a folder of images."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
from tqdm import tqdm

from gsvnet_model.checkpoint import load_model
from gsvnet_model.cli.options import add_model_options
from gsvnet_model.segmenter import DEFAULT_KEYFRAME_INTERVAL, VideoSegmenter
from gsvnet_model.sources import open_source
from gsvnet_model.visualization import overlay


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("segment", help="label a video file or a folder of images")
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
    model = load_model(options.weights, options.device, options.precision, options.input_scale)
    segmenter = VideoSegmenter(model, options.interval)
    source = open_source(options.source, num_images=options.frames)
    for folder in ("labels", "confidence"):
        (options.output / folder).mkdir(parents=True, exist_ok=True)
    palette = model.info.classes.palette_array()
    video = None
    for index, image in enumerate(tqdm(source.images(), unit="frame")):
        if video is None:
            size = (image.shape[1], image.shape[0])
            path = options.output / "overlay.mp4"
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            video = cv2.VideoWriter(str(path), codec, source.rate_hz, size)
            if not video.isOpened():
                raise ValueError(f"expected an OpenCV that writes MPEG-4, cannot write {path}")
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


def _write(path: Path, image: cv2.typing.MatLike) -> None:
    if not cv2.imwrite(str(path), image):
        raise ValueError(f"expected to write {path}, but it failed; is the disk full?")
