# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Videos to fit the quality model to, and others to judge schedules on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.data.camvid import LabelledImage, LabelledImages, open_split
from gsvnet_lab.data.images import open_images
from gsvnet_lab.evaluation.metrics import check_labelled
from gsvnet_lab.motion.camera import MotionRanges
from gsvnet_lab.motion.cutouts import collect_cutouts
from gsvnet_lab.motion.scene import SceneRoles
from gsvnet_lab.motion.still import moving_still
from gsvnet_lab.policy_study.keyframe_age_table import Video
from gsvnet_model.outputs.classes import CAMVID
from street_drive import StreetDrive
from street_drive.travel import steady, stop_and_go

FIT_SEED = 500_000
"""Training takes drives from seed 1000 on; neither it nor the evaluation gets this far."""
EVALUATION_SEED = 20

_RATES_HZ = (15.0, 7.5, 15.0, 10.0, 5.0, 15.0)
_SIZE = (360, 480)
_STILL_FRAMES = 8


def varied_order(num_frames: int, seed: int = 0) -> list[int]:
    """Return in which order the frames of a clip make a video of varied motion.

    A stop (a repeated frame), normal motion, triple speed, and so on to the end of the clip.

    Args:
        num_frames: number of frames of the clip.
        seed: 0 gives stops of 15 and 10 frames in turns and equal stretches of motion; others
            draw the lengths.
    """
    rng = np.random.default_rng(seed)
    order: list[int] = []
    place, part = 0, 0
    while place < num_frames:
        stop, normal, fast = ((15, 10)[part % 2], 17, 11)
        if seed:
            stop, normal, fast = (int(rng.integers(*span)) for span in ((4, 26), (6, 22), (4, 14)))
        order += [place] * stop
        order += range(place + 1, min(place + normal, num_frames))
        place += normal
        order += range(place, min(place + 3 * fast, num_frames), 3)
        place += 3 * fast
        part += 1
    return order


def clip_video(data: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return the labelled validation clip of a CamVid folder.

    Raises:
        ValueError: if there is none, or no pixel is labelled.
    """
    clip = open_split(data, "val", CAMVID.num_classes)
    check_labelled(clip, "the split val")
    return [clip[index] for index in range(len(clip))]


def drive_video(seed: int, index: int, num_frames: int) -> list[LabelledImage]:
    """Return a street drive with exact labels: one of many speeds, rates, bends and stops.

    Args:
        seed: seed of the set of drives.
        index: number of the drive in the set; every third drive does not stop.
        num_frames: number of frames.
    """
    rng = np.random.default_rng([seed, index])
    drive_s, stop_s = float(rng.uniform(2, 5)), float(rng.uniform(0.8, 2.5))
    speed = float(rng.uniform(5, 12))
    travel = steady(speed) if index % 3 == 2 else stop_and_go(speed, drive_s, stop_s)
    first, bend = int(rng.integers(20)), float(rng.choice([0.2, 0.4, 1.0]))
    rate_hz = _RATES_HZ[index % len(_RATES_HZ)]
    drive = StreetDrive(seed + index, *_SIZE, rate_hz, travel, bend)
    frames = (drive.frame(first + number) for number in range(num_frames))
    return [(frame.image, frame.labels) for frame in frames]


def still_videos(stills: LabelledImages, count: int, seed: int) -> list[list[LabelledImage]]:
    """Return drives through labelled stills.

    They are short, because the guessed depth of a still carries a camera only so far.

    Args:
        stills: labelled images to choose from.
        count: number of drives, each through another still.
        seed: seed of the choice and of the motion.

    Raises:
        ValueError: if there are fewer stills.
    """
    if count > len(stills):
        raise ValueError(
            f"expected at least {count} training images, one for each moved still, got "
            f"{len(stills)}; ask for fewer with --stills {len(stills)}"
        )
    rng = np.random.default_rng(seed)
    chosen = [stills[int(index)] for index in rng.choice(len(stills), count, replace=False)]
    roles = SceneRoles.of(CAMVID)
    library = collect_cutouts(chosen, roles)
    videos: list[list[LabelledImage]] = []
    for image, labels in chosen:
        frames = moving_still(image, labels, _STILL_FRAMES, roles, MotionRanges(), library, rng)
        videos.append([(frame.image, frame.labels) for frame in frames])
    return videos


def unlabelled_video(name: str, num_frames: int) -> Video:
    """Return the first frames of a video file, a folder or the built-in clip, without labels."""
    source = open_images(name, num_images=num_frames)
    return [(image, None) for _, image in zip(range(num_frames), source.images(), strict=False)]


def joined(videos: Sequence[Video]) -> Video:
    """Return videos one after the other: with a cut between each two."""
    return [frame for video in videos for frame in video]
