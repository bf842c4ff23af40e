# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The demo: a camera process and the node in a process of its own, recorded and shown.

`scripts/demo --help` lists the options.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import FrameType

import cv2

from gsvnet_lab.extras import OFFLINE, require_extra

# Before the imports that need the extra:
# ruff: noqa: E402
require_extra("demo", OFFLINE)

from gsvnet_lab.cli.options import image_size
from gsvnet_lab.data.images import BUILT_IN, open_images
from gsvnet_lab.data.street_clip import DEFAULT_SIZE
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_lab.reporting.picture_sheet import SheetRow, draw_picture_sheet
from gsvnet_model.outputs.classes import CAMVID, ClassTable
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL
from gsvnet_offline.sources import ImageSource
from gsvnet_offline.sources.source import DEFAULT_RATE_HZ
from gsvnet_ros.startup.own_environment import NotInstalledError, prepare_environment
from gsvnet_ros.startup.shared_memory import remove_dead_segments
from gsvnet_ros.tools.demo_run import DemoError, DemoRun, RunOptions
from gsvnet_ros.tools.figures import Figures, figures_table, run_figures
from gsvnet_ros.tools.recording import Recording, save_masks
from gsvnet_ros.tools.review import OverlayVideo, review, sheet_indices, sheet_row
from gsvnet_ros.tools.sustainable_rate import keyframe_seconds, sustainable_rate_hz

DEFAULT_SECONDS = 10.0

MIN_IMAGES = 45
"""A slow machine plays this many images of the clip, or there would be little to see."""

KEEPS_UP_PERCENT = 95.0
"""With fewer frames labelled, the machine is too slow for the rate, and the demo says so."""


@dataclass(frozen=True)
class Accuracy:
    """Agreement of the received masks with the source's labels.

    Attributes:
        frames: number of frames with labels.
        miou_percent: mean IoU over the classes that occur.
        iou_percent: by class; None where a class does not occur.
    """

    frames: int
    miou_percent: float
    iou_percent: dict[str, float | None]


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _parse(arguments)
    try:
        _demo(options)
    except (DemoError, NotInstalledError, ValueError, OSError) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Label video with the segmentation node on real ROS 2 topics: a camera "
        "process, the node, a recorder. Writes overlay.mp4, picture_sheet.png and figures.json.",
    )
    add = parser.add_argument
    add(
        "--source",
        default=BUILT_IN,
        help=f"'{BUILT_IN}' for the built-in clip (default), an image folder, a video file or "
        "the number of a camera. With a folder labels/ beside the images the labels are scored.",
    )
    add(
        "--seconds",
        type=float,
        help=f"how long (default: {DEFAULT_SECONDS:g} for the clip and a camera, else all)",
    )
    add("--output", type=Path, default=Path("demo_output"), help="folder (default: %(default)s)")
    add(
        "--size",
        type=lambda text: image_size(text.lower()),
        metavar="WxH",
        help="size of the images (default: the source's)",
    )
    add(
        "--rate",
        type=float,
        help=f"images per second (default: a video's own, else {DEFAULT_RATE_HZ:g}; for the "
        "built-in clip less where the machine is slower)",
    )
    add(
        "--interval",
        type=int,
        default=DEFAULT_KEYFRAME_INTERVAL,
        help="frames from one keyframe to the next (default: %(default)s)",
    )
    add("--transport", choices=("raw", "compressed"), default="raw", help="default: %(default)s")
    add("--weights", type=Path, help="a checkpoint (default: the weights in the package)")
    add(
        "--lockstep",
        action=argparse.BooleanOptionalAction,
        help="send an image only when the mask of the one before has come back, so that every "
        "frame is labelled however slow the machine (default: for image folders)",
    )
    add("--save-masks", action="store_true", help="also write masks/ and confidences/ as PNGs")
    return parser.parse_args(arguments)


def _demo(options: argparse.Namespace) -> None:
    source, run_options = _open(options)
    signal.signal(signal.SIGTERM, _terminate)
    output: Path = options.output
    (output / "logs").mkdir(parents=True, exist_ok=True)
    prepare_environment(output / "logs")
    remove_dead_segments()
    with tempfile.TemporaryDirectory(dir=output, prefix="recording_") as folder:
        recording = Recording(Path(folder))
        try:
            run = DemoRun(run_options, recording, output / "logs")
            try:
                run.play()
            finally:
                run.stop()
                remove_dead_segments()
            figures = run_figures(run.published_ns, recording, run.node_counts)
            if not figures.labelled:
                raise DemoError(f"no mask came back of {figures.published} frames")
            accuracy = _show(options, run, source, recording, figures)
        finally:
            recording.close()
    _write_figures(output / "figures.json", run_options, run, figures, accuracy)
    _print_report(output, figures, accuracy)
    run.check_end()


def _open(options: argparse.Namespace) -> tuple[ImageSource | None, RunOptions]:
    """Open the source; a camera is left to the camera process, the only one that may read it."""
    is_live = options.source.isdecimal()
    height, width = options.size or (None, None)
    seconds, rate_hz = options.seconds, options.rate
    endless = is_live or options.source == BUILT_IN
    if options.source == BUILT_IN and rate_hz is None:
        rate_hz = _rate_of_clip(options)
    if endless:
        rate_hz = rate_hz or DEFAULT_RATE_HZ
        seconds = seconds or max(DEFAULT_SECONDS, MIN_IMAGES / rate_hz)
    source = None
    num_images = None
    if not endless:
        source = open_images(options.source, height, width, rate_hz)
        rate_hz = source.rate_hz
    if seconds is not None:
        num_images = max(1, round(seconds * rate_hz))
    if not is_live:
        source = open_images(options.source, height, width, rate_hz, num_images)
    lockstep = options.lockstep
    if lockstep is None:
        lockstep = source is not None and source.is_recording
    return source, RunOptions(
        source=options.source if endless else str(Path(options.source).expanduser().resolve()),
        rate_hz=rate_hz,
        num_images=num_images,
        size=options.size,
        transport=options.transport,
        keyframe_interval=options.interval,
        weights=None if options.weights is None else str(options.weights.resolve()),
        lockstep=lockstep,
        records_images=is_live,
    )


def _rate_of_clip(options: argparse.Namespace) -> float:
    """Return the rate at which this machine serves the built-in clip without drops."""
    if options.lockstep or options.interval < 1:
        return DEFAULT_RATE_HZ
    keyframe_s = keyframe_seconds(options.weights, *(options.size or DEFAULT_SIZE))
    rate_hz = sustainable_rate_hz(keyframe_s, options.interval)
    if rate_hz < DEFAULT_RATE_HZ:
        print(
            f"demo: a keyframe takes {1e3 * keyframe_s:.0f} ms on this machine, so the clip is "
            f"played at {rate_hz:g} instead of {DEFAULT_RATE_HZ:g} Hz"
        )
    return rate_hz


def _show(
    options: argparse.Namespace,
    run: DemoRun,
    source: ImageSource | None,
    recording: Recording,
    figures: Figures,
) -> Accuracy | None:
    """Write the pictures and return the accuracy, None where nothing is known of the labels."""
    output: Path = options.output
    published_ns, classes = run.published_ns, run.classes
    if options.source == BUILT_IN and classes.names != CAMVID.names:
        print("demo: these weights have other classes than the built-in clip: no mIoU")
    scores = options.source != BUILT_IN or classes.names == CAMVID.names
    chosen = sheet_indices(published_ns, recording)
    rows: list[SheetRow] = []
    confusion = ConfusionMatrix(classes.num_classes)
    num_scored = 0
    with OverlayVideo(output / "overlay.mp4", run.options.rate_hz, classes) as video:
        for frame in review(published_ns, source, recording):
            video.write(frame)
            row = sheet_row(frame) if frame.index in chosen else None
            if row is not None:
                rows.append(row)
            if scores and frame.mask is not None and frame.truth is not None:
                confusion.update(frame.mask, frame.truth)
                num_scored += 1
    accuracy = _accuracy(confusion, num_scored, classes) if num_scored else None
    if rows:
        subtitle = _subtitle(run.options, figures, accuracy)
        sheet = draw_picture_sheet(_title(options.source), subtitle, rows, classes)
        cv2.imwrite(str(output / "picture_sheet.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if options.save_masks:
        names = {stamp_ns: f"{index:06d}" for index, stamp_ns in enumerate(published_ns)}
        save_masks(recording, names, output)
    return accuracy


def _title(source: str) -> str:
    return "built-in street drive" if source == BUILT_IN else Path(source).name


def _subtitle(options: RunOptions, figures: Figures, accuracy: Accuracy | None) -> str:
    parts = [
        f"keyframe interval {options.keyframe_interval}",
        f"{figures.labelled} of {figures.published} frames labelled",
    ]
    if figures.latency_ms:
        parts.append(f"latency {figures.latency_ms['median']:.0f} ms")
    if accuracy is not None:
        parts.append(f"mIoU {accuracy.miou_percent:.1f} % over {accuracy.frames} frames")
    return " | ".join(parts)


def _accuracy(confusion: ConfusionMatrix, frames: int, classes: ClassTable) -> Accuracy:
    iou = confusion.iou()
    return Accuracy(
        frames,
        confusion.miou(),
        {
            name: None if value != value else 100.0 * float(value)
            for name, value in zip(classes.names, iou, strict=True)
        },
    )


def _write_figures(
    path: Path,
    options: RunOptions,
    run: DemoRun,
    figures: Figures,
    accuracy: Accuracy | None,
) -> None:
    content = {
        "settings": asdict(options),
        **asdict(figures),
        "labelled_percent": figures.labelled_percent,
        "received_percent": figures.received_percent,
        "accuracy": None if accuracy is None else asdict(accuracy),
        "node": dict(run.node_values),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "python": sys.version.split()[0],
            "torch": metadata.version("torch"),
            "numpy": metadata.version("numpy"),
        },
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _print_report(output: Path, figures: Figures, accuracy: Accuracy | None) -> None:
    lines = figures_table(figures)
    if accuracy is not None:
        lines.append(("mIoU", f"{accuracy.miou_percent:.1f} % over {accuracy.frames} frames"))
        known = {name: value for name, value in accuracy.iou_percent.items() if value is not None}
        lines.append(("IoU", ", ".join(f"{name} {value:.0f}" for name, value in known.items())))
    for name in ("overlay.mp4", "picture_sheet.png", "figures.json"):
        lines.append((name.partition(".")[0].replace("_", " "), str(output / name)))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"  {name:<{width}}  {text}")
    if figures.labelled_percent < KEEPS_UP_PERCENT:
        print(
            "demo: this machine does not keep up with that rate and size; frames were dropped and "
            "counted. A lower --rate, a smaller --size or a longer --interval helps."
        )


if __name__ == "__main__":
    sys.exit(main())
