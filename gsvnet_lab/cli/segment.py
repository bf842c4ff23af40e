# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet segment`: labels for a video file or a folder of images."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gsvnet_lab.cli.options import add_model_options
from gsvnet_lab.data.images import open_images
from gsvnet_model.checkpoint import load_model
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL
from gsvnet_offline.names import printable_name
from gsvnet_offline.segment_recording import OVERLAY, TABLE, RecordingSummary, segment_recording
from gsvnet_offline.sources import UnreadableFrame
from gsvnet_offline.stopping import stop_on_signal
from gsvnet_offline.writers.label_folder import CONFIDENCE, LABELS

_MOST_NAMED = 10


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "segment",
        epilog="exit status: 0 where the source was read to its end (frames that could not be "
        "labelled are named in the last line and in frames.csv), 2 where an input is wrong or a "
        "result cannot be written, 128 + N where signal N ended the run",
    )
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
    parser.add_argument("--no-overlay", action="store_true", help="leave out overlay.mp4")
    parser.add_argument("--no-confidence", action="store_true", help="leave out confidence/")
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Label the source and say what became of its frames."""
    with stop_on_signal() as request:
        source = open_images(options.source, num_images=options.frames)
        summary = segment_recording(
            source,
            load_model(options.weights, options.device, options.precision, options.input_scale),
            options.output,
            options.interval,
            with_overlay=not options.no_overlay,
            with_confidence=not options.no_confidence,
            should_stop=request.__bool__,
            progress=functools.partial(tqdm, unit="frame", total=source.num_frames),
        )
    _report(options, summary)
    if request.signal is not None and summary.was_stopped:
        print(f"gsvnet: stopped by {request.signal.name}", file=sys.stderr)
        raise SystemExit(128 + request.signal)


def _report(options: argparse.Namespace, summary: RecordingSummary) -> None:
    """Print what was written, and last what was not."""
    results = [LABELS, CONFIDENCE, OVERLAY, TABLE]
    if options.no_confidence:
        results.remove(CONFIDENCE)
    if options.no_overlay:
        results.remove(OVERLAY)
    for note in summary.notes:
        print(note)
    where = f"{', '.join(results[:-1])} and {results[-1]}: {printable_name(options.output)}"
    plural = "" if summary.num_labelled == 1 else "s"
    print(f"{summary.num_labelled} frame{plural} labelled; {where}")
    sys.stdout.flush()
    if summary.unlabelled:
        total = summary.num_labelled + summary.num_unlabelled
        print(
            f"gsvnet: {summary.num_unlabelled} of {total} frames have no labels: "
            f"{_named(summary.unlabelled)}",
            file=sys.stderr,
        )


def _named(unlabelled: Sequence[UnreadableFrame]) -> str:
    """Return numbers, names and reasons of frames, the first ones where there are many."""
    shown = [
        f"{frame.number}{f' to {frame.number + frame.count - 1}' if frame.count > 1 else ''} "
        f"of {printable_name(frame.name)} ({frame.reason})"
        for frame in unlabelled[:_MOST_NAMED]
    ]
    if len(unlabelled) > _MOST_NAMED:
        shown.append(f"and more, all in {TABLE}")
    return "; ".join(shown)
