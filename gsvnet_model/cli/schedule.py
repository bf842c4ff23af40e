# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet schedule`: compare keyframe policies with fixed intervals and the best schedule."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np

from gsvnet_model.checkpoint import default_weights, load_model
from gsvnet_model.cli.segment import add_model_options
from gsvnet_model.data.camvid import DATA_VARIABLE, find_camvid
from gsvnet_model.environment import describe_machine, sha256, write_json
from gsvnet_model.model import SegmentationModel
from gsvnet_model.scheduling import AdaptivePolicy, QualityModel
from gsvnet_model.scheduling_evaluation.comparison import Comparison, compare
from gsvnet_model.scheduling_evaluation.fitting import agreement_of, cut_signals
from gsvnet_model.scheduling_evaluation.pair_table import PairTable, Video, pair_table
from gsvnet_model.scheduling_evaluation.report import comparison_table, plot_comparisons
from gsvnet_model.scheduling_evaluation.schedule import FrameCosts, run_policy
from gsvnet_model.scheduling_evaluation.videos import (
    EVALUATION_SEED,
    clip_video,
    drive_video,
    joined,
    unlabelled_video,
    varied_order,
)
from gsvnet_model.segmenter import VideoSegmenter

_DISTANCES = 24
_DRIVE_FRAMES = 70
_CUTS = 100
_TIMED_FRAMES = 12


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("schedule", help="compare keyframe policies")
    parser.add_argument("--data", type=Path, help=f"CamVid folder (default: {DATA_VARIABLE})")
    parser.add_argument("--quality", type=Path, required=True, help="what fit-quality wrote")
    parser.add_argument(
        "--varied", type=int, default=3, help="clips of varied motion (%(default)s)"
    )
    parser.add_argument("--drives", type=int, default=4, help="street drives (%(default)s)")
    parser.add_argument("--video", nargs="*", default=[], help="more videos, judged by agreement")
    parser.add_argument("--frames", type=int, default=100, help="of each of these (%(default)s)")
    parser.add_argument("--tables", type=Path, help="folder that keeps what was computed")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="file for the plot")
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    weights = options.weights or default_weights()
    model = load_model(weights, options.device, options.precision)
    fitted = json.loads(options.quality.read_text())
    quality, flow = (QualityModel(**fitted[name]) for name in ("quality", "flow_score"))
    clip = clip_video(find_camvid(options.data))
    varied: list[Video] = [
        [clip[index] for index in varied_order(len(clip), seed)] for seed in range(options.varied)
    ]
    drives = [drive_video(EVALUATION_SEED, index, _DRIVE_FRAMES) for index in range(options.drives)]
    # The last two become one with a cut.
    drives = [*drives[:-2], joined([video[: _DRIVE_FRAMES // 2] for video in drives[-2:]])]
    tables = _Tables(model, options.tables, sha256(weights)[:12])
    costs = _measured_costs(model, clip)
    groups: dict[str, list[Video]] = {
        "clip": [clip],
        "varied motion": varied,
        "street drives": drives,
    }
    comparisons: dict[str, Comparison] = {}
    pooled: list[PairTable] = []
    for name, videos in groups.items():
        own = [tables.of(f"{name} {number}", video) for number, video in enumerate(videos)]
        exact = [
            tables.of(f"{name} {number}", video, perfect=True)
            for number, video in enumerate(videos)
        ]
        pooled += own
        comparisons[name] = compare(own, quality, flow, costs)
        comparisons[f"{name}, perfect keyframes"] = compare(own, quality, flow, costs, exact)
    for name in options.video:
        own = [tables.of(Path(name).stem, unlabelled_video(name, options.frames))]
        pooled += own
        comparisons[f"{name} (agreement)"] = compare(own, quality, flow, costs)
    correlation, error = agreement_of(quality, pooled)
    cuts = cut_signals(model, [clip, *drives], _CUTS, seed=1)
    found = int(quality.is_cut(cuts).sum())
    longest = _longest_standing(tables, clip, quality, costs)
    table = comparison_table(comparisons)
    print(table)
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
                "weights": weights.name,
                "sha256": sha256(weights),
                "machine": describe_machine(model.device),
                "costs": dataclasses.asdict(costs),
                "rank_correlation": correlation,
                "mean_error": error,
                "cuts_noticed": found,
                "cuts": _CUTS,
                "standing_intervals": longest,
                "reached": {
                    video: {policy: each.reached(policy) for policy in each.curves}
                    for video, each in comparisons.items()
                },
                "comparisons": {
                    video: dataclasses.asdict(each) for video, each in comparisons.items()
                },
            },
        )


class _Tables:
    """Pair tables, computed once where a folder keeps them."""

    def __init__(self, model: SegmentationModel, folder: Path | None, weights: str) -> None:
        self._model, self._folder, self._weights = model, folder, weights

    def of(self, name: str, video: Video, perfect: bool = False) -> PairTable:
        """Return the table of a video, under a name of its own."""
        if self._folder is None:
            return pair_table(self._model, video, _DISTANCES, perfect)
        kind = "perfect" if perfect else "network"
        path = self._folder / f"{name.replace(' ', '_')}_{len(video)}_{kind}_{self._weights}.npz"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            pair_table(self._model, video, _DISTANCES, perfect).save(path)
        return PairTable.load(path)


def _measured_costs(model: SegmentationModel, clip: Video) -> FrameCosts:
    """Return the median cost of both kinds of frames."""
    segmenter = VideoSegmenter(model, 2)
    times: dict[bool, list[float]] = {True: [], False: []}
    for image, _ in clip[: 2 * _TIMED_FRAMES]:
        started = time.perf_counter()
        is_keyframe = segmenter.step(image).is_keyframe
        times[is_keyframe].append(1e3 * (time.perf_counter() - started))
    return FrameCosts(float(np.median(times[True])), float(np.median(times[False])))


def _longest_standing(
    tables: _Tables, clip: Video, quality: QualityModel, costs: FrameCosts
) -> list[int]:
    """Return the intervals of the default policy on a standing scene with a camera's noise."""
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
