# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet schedule`: compare keyframe policies with fixed intervals and the best schedule."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from gsvnet_lab.benchmark.timing import Clock, clock_of
from gsvnet_lab.cli.options import (
    add_clock_option,
    add_data_option,
    add_json_option,
    add_model_options,
    chosen_model,
)
from gsvnet_lab.data.camvid import find_camvid
from gsvnet_lab.fitting.quality import agreement_of, cut_signals
from gsvnet_lab.policy_study.comparison import Comparison, compare
from gsvnet_lab.policy_study.keyframe_age_table import KeyframeAgeTable, Video, keyframe_age_table
from gsvnet_lab.policy_study.report import comparison_table, plot_comparisons, summary_table
from gsvnet_lab.policy_study.schedule import FrameCosts, run_policy
from gsvnet_lab.policy_study.videos import (
    EVALUATION_SEED,
    clip_video,
    drive_video,
    joined,
    unlabelled_video,
    varied_order,
)
from gsvnet_lab.reporting.environment import describe_machine, sha256, write_json
from gsvnet_model.model import SegmentationModel
from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.scheduling.adaptive import AdaptivePolicy
from gsvnet_model.scheduling.quality import QualityModel
from gsvnet_model.stream.segmenter import VideoSegmenter

_DISTANCES = 24
_DRIVE_FRAMES = 70
_CUTS = 100
_TIMED_FRAMES = 12


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("schedule")
    add_data_option(parser)
    parser.add_argument(
        "--quality", type=Path, required=True, help="JSON file that 'gsvnet fit-quality' wrote"
    )
    parser.add_argument(
        "--varied", type=int, default=3, help="number of clips of varied motion (%(default)s)"
    )
    parser.add_argument(
        "--drives", type=int, default=10, help="number of street drives (%(default)s)"
    )
    parser.add_argument(
        "--video",
        nargs="*",
        default=[],
        help="videos without labels, judged by agreement with keyframes",
    )
    parser.add_argument(
        "--frames", type=int, default=100, help="number of frames of each --video (%(default)s)"
    )
    parser.add_argument(
        "--tables", type=Path, help="folder that keeps the keyframe-age tables for the next call"
    )
    add_clock_option(parser)
    add_json_option(parser)
    parser.add_argument("--plot", type=Path, help="image file to draw the comparison to")
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights, model = chosen_model(options)
    if model.info.classes != CAMVID:
        raise ValueError(
            f"{weights}: expected weights of CamVid's classes, which clip and drives are labelled "
            f"in, got {', '.join(model.info.classes.names)}"
        )
    quality = _read_quality(options.quality)
    clip = clip_video(find_camvid(options.data))
    varied: list[Video] = [
        [clip[index] for index in varied_order(len(clip), seed)] for seed in range(options.varied)
    ]
    drives: list[Video] = [
        drive_video(EVALUATION_SEED, index, _DRIVE_FRAMES) for index in range(options.drives)
    ]
    # The last two become one with a cut.
    drives = [*drives[:-2], joined([video[: _DRIVE_FRAMES // 2] for video in drives[-2:]])]
    tables = _Tables(model, options.tables, sha256(weights)[:12])
    costs = _measured_costs(model, clip, options.clock)
    groups: dict[str, list[Video]] = {
        "clip": [clip],
        "varied motion": varied,
        "street drives": drives,
    }
    comparisons: dict[str, Comparison] = {}
    pooled: list[KeyframeAgeTable] = []
    for name, videos in groups.items():
        own = [tables.of(f"{name} {number}", video) for number, video in enumerate(videos)]
        exact = [
            tables.of(f"{name} {number}", video, perfect=True)
            for number, video in enumerate(videos)
        ]
        pooled += own
        comparisons[name] = compare(own, quality, costs)
        comparisons[f"{name}, perfect keyframes"] = compare(own, quality, costs, exact)
    for name in options.video:
        video = unlabelled_video(name, options.frames)
        own = [tables.of(Path(name).stem, video)]
        pooled += own
        comparisons[f"{Path(name).name} (agreement)"] = compare(own, quality, costs)
    correlation, error = agreement_of(quality, pooled)
    cuts = cut_signals(model, [clip, *drives], _CUTS, seed=1)
    found = int(quality.is_cut(cuts).sum())
    longest = _longest_standing(tables, clip, quality, costs)
    print(f"{comparison_table(comparisons)}\n\n{summary_table(comparisons)}")
    print(
        f"\nestimate: rank correlation {correlation:.3f}, mean error {error:.1f} % of the pixels"
        f"\ncuts noticed in the same frame: {found} of {_CUTS}"
        f"\nstanding scene: intervals {longest}"
    )
    if options.plot:
        plot_comparisons(comparisons, options.plot)
    if options.json:
        write_json(
            options.json,
            {
                "command": f"gsvnet schedule --varied {options.varied} --drives {options.drives}",
                "weights": weights.name,
                "sha256": sha256(weights),
                "quality": dataclasses.asdict(quality),
                "machine": describe_machine(model.device),
                "clock": options.clock,
                "costs": dataclasses.asdict(costs),
                "rank_correlation": correlation,
                "mean_error": error,
                "cuts_noticed": found,
                "cuts": _CUTS,
                "standing_intervals": longest,
                "comparisons": {video: each.figures() for video, each in comparisons.items()},
            },
        )


def _read_quality(path: Path) -> QualityModel:
    """Read what `gsvnet fit-quality --json` wrote.

    Raises:
        ValueError: if the file holds something else.
    """
    try:
        return QualityModel(**json.loads(path.read_text())["quality"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected what 'gsvnet fit-quality --json' wrote, got {error!r}"
        ) from error


class _Tables:
    """Keyframe-age tables of videos, computed once where a folder keeps them."""

    def __init__(self, model: SegmentationModel, folder: Path | None, weights: str) -> None:
        self._model, self._folder, self._weights = model, folder, weights

    def of(self, name: str, video: Video, perfect: bool = False) -> KeyframeAgeTable:
        """Return the table of a video; in the folder it has the given name."""
        if self._folder is None:
            return keyframe_age_table(self._model, video, _DISTANCES, perfect)
        kind = "truth" if perfect else "network"
        file = f"{name} {_digest(video)} {kind} {self._weights}.npz".replace(" ", "_")
        path = self._folder / file
        if not path.exists():
            keyframe_age_table(self._model, video, _DISTANCES, perfect).save(path)
        return KeyframeAgeTable.load(path)


def _digest(video: Video) -> str:
    """Return a text that differs between videos of one name."""
    found = hashlib.sha256()
    for image, labels in video:
        found.update(image.tobytes())
        found.update(b"" if labels is None else labels.tobytes())
    return found.hexdigest()[:12]


def _measured_costs(model: SegmentationModel, clip: Video, clock: Clock) -> FrameCosts:
    """Return the median times of keyframes and propagated frames."""
    now = clock_of(clock)
    segmenter = VideoSegmenter(model, 2)
    times: dict[bool, list[float]] = {True: [], False: []}
    for image, _ in clip[: 2 * _TIMED_FRAMES]:
        started = now()
        is_keyframe = segmenter.step(image).is_keyframe
        times[is_keyframe].append(1e3 * (now() - started))
    return FrameCosts(float(np.median(times[True])), float(np.median(times[False])))


def _longest_standing(
    tables: _Tables, clip: Video, quality: QualityModel, costs: FrameCosts
) -> list[int]:
    """Return the adaptive policy's keyframe intervals on a standing scene with camera noise."""
    rng = np.random.default_rng(0)
    image, truth = clip[0]
    video: Video = [
        (np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8), truth)
        for _ in range(2 * _DISTANCES)
    ]
    policy = AdaptivePolicy(max_interval=_DISTANCES)
    ages = run_policy(tables.of("standing", video), policy, quality, costs).ages
    starts = np.flatnonzero(ages == 0)
    return [int(length) for length in np.diff(starts)]
