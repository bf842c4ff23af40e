# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet fit-quality`: fit the estimate of disagreement to the two networks of weights."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from gsvnet_lab.cli.options import add_data_option, add_model_options, chosen_model
from gsvnet_lab.data.camvid import find_camvid, open_split
from gsvnet_lab.fitting.calibration import fit_temperature_slope
from gsvnet_lab.fitting.quality import agreement_of, cut_signals, fit_quality
from gsvnet_lab.fitting.store import store_quality
from gsvnet_lab.policy_study.keyframe_age_table import keyframe_age_table
from gsvnet_lab.policy_study.videos import FIT_SEED, drive_video, still_videos
from gsvnet_lab.reporting.environment import sha256, write_json
from gsvnet_model.outputs.classes import CAMVID

_DRIVE_FRAMES = 60
_DISTANCES = 16
_CUTS = 200


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("fit-quality")
    add_data_option(parser)
    parser.add_argument(
        "--drives", type=int, default=10, help="number of street drives to fit to (%(default)s)"
    )
    parser.add_argument(
        "--stills", type=int, default=24, help="number of moved stills to fit to (%(default)s)"
    )
    parser.add_argument(
        "--json", type=Path, help="JSON file to write the fit to, for 'gsvnet schedule'"
    )
    parser.add_argument(
        "--store", action="store_true", help="store the estimate in the weights file"
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights, model = chosen_model(options)
    stills = open_split(find_camvid(options.data), "train", CAMVID.num_classes)
    moved = still_videos(stills, options.stills, seed=0)
    drives = [drive_video(FIT_SEED, index, _DRIVE_FRAMES) for index in range(options.drives)]
    videos = [*drives, *moved]
    tables = [keyframe_age_table(model, video, _DISTANCES) for video in videos]
    cuts = cut_signals(model, videos, _CUTS)
    quality = fit_quality(tables, cuts)
    correlation, error = agreement_of(quality, tables)
    print(f"on the videos fitted to: rank correlation {correlation:.3f}, mean error {error:.1f} %")
    if options.store:
        model.info = dataclasses.replace(model.info, quality=quality)
        slope = 0.0
        if model.info.classes == CAMVID:
            slope = fit_temperature_slope(model, videos)
        else:
            print(
                "the confidence does not follow the estimate: that is fitted on street drives, "
                "which are labelled in CamVid's classes, and these weights have others"
            )
        store_quality(weights, quality, slope)
    if options.json is None:
        return
    write_json(
        options.json,
        {
            "command": f"gsvnet fit-quality --drives {options.drives} --stills {options.stills}",
            "weights": weights.name,
            "sha256": sha256(weights),
            "rank_correlation": correlation,
            "mean_error": error,
            "quality": dataclasses.asdict(quality),
        },
    )
