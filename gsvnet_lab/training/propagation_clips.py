# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The clips that a propagation network learns from, and batches of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gsvnet_lab.data.augment import Augmentation, random_view
from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.motion.cutouts import collect_cutouts
from gsvnet_lab.motion.frame import MovingFrame
from gsvnet_lab.motion.scene import SceneRoles
from gsvnet_lab.motion.still import moving_still
from gsvnet_lab.training.clip_cache import ClipCache, cached_clips
from gsvnet_lab.training.fingerprint import data_fingerprint
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.outputs.classes import CAMVID
from street_drive import StreetDrive, steady

_FIRST_DRIVE = 5000
"""Seed of the first street drive: none that the keyframe network was trained on."""
_CLIPS_PER_DRIVE = 2
_DRIVE_RATES_HZ = (15.0, 7.5)
_DRIVE_SPEED_M_S = (2.0, 10.0)
_DRIVE_LENGTH_S = 30.0
_REVERSED = 0.2
"""Share of the clips that are played backwards."""

_HELD_OUT = 3
"""Neighbouring stills out of every 37 that clips for validation are made of."""


def render_clips(
    recipe: PropagationRecipe,
    keyframe_network: nn.Module,
    info: ModelInfo,
    data: Path,
    output: Path,
    device: torch.device,
) -> tuple[ClipCache, ClipCache]:
    """Return the clips to train on, and clips of held-out stills to validate on.

    A call that was cut goes on where it was; the same clips are rendered once.

    Args:
        recipe: gives kinds and numbers of the clips.
        keyframe_network: network that labels the clips; in eval mode, on `device`.
        info: info of the weights that the recipe gives; see `PropagationRecipe.described`.
        data: CamVid folder.
        output: folder that the clips are kept in.
        device: device that the keyframe network runs on.

    Raises:
        ValueError: if there are too few images to hold some out.
    """
    split = open_split(data, "train", info.classes.num_classes)
    # Runs of three neighbours, so that most held-out views differ from those trained on.
    held_out = [index for index in range(len(split)) if index % 37 < _HELD_OUT]
    if len(split) <= _HELD_OUT:
        raise ValueError(
            f"expected more than {_HELD_OUT} training images, since {_HELD_OUT} of every 37 are "
            f"held out to validate on, got {len(split)} in {data}"
        )
    stills = [split[index] for index in range(len(split)) if index not in held_out]
    held_out_stills = [split[index] for index in held_out]
    height, width = stills[0][1].shape
    roles = SceneRoles.of(CAMVID)
    library = collect_cutouts(stills, roles)
    augmentation = Augmentation(scale=(1.0, 1.0), rotation_deg=0.0)
    num_frames = recipe.distance + 1

    def still(
        chosen: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], seed: int, index: int
    ) -> tuple[MovingFrame, ...]:
        rng = np.random.default_rng([recipe.seed, seed, index])
        image, labels = random_view(
            *chosen[index % len(chosen)], (height, width), augmentation, rng
        )
        return moving_still(image, labels, num_frames, roles, recipe.motion, library, rng)

    def clip(index: int) -> tuple[MovingFrame, ...]:
        if index < recipe.still_clips:
            return still(stills, 0, index)
        return _drive_clip(index - recipe.still_clips, num_frames, height, width, recipe.seed)

    chosen = (recipe.seed, recipe.still_clips, recipe.distance, recipe.motion)
    identity = repr((*chosen, data_fingerprint(split)))
    common = (keyframe_network, info)
    return (
        cached_clips(
            output, clip, recipe.still_clips + recipe.drive_clips, *common, identity, device
        ),
        cached_clips(
            output,
            lambda index: still(held_out_stills, 1, index),
            recipe.held_out_clips,
            *common,
            identity + " held out",
            device,
        ),
    )


def _drive_clip(
    index: int, num_frames: int, height: int, width: int, seed: int
) -> tuple[MovingFrame, ...]:
    """Return consecutive frames of a street drive; two clips share a street."""
    rng = np.random.default_rng([seed, 2, index])
    travel = steady(float(rng.uniform(*_DRIVE_SPEED_M_S)))
    rate_hz = float(rng.choice(_DRIVE_RATES_HZ))
    street = StreetDrive(_FIRST_DRIVE + index // _CLIPS_PER_DRIVE, height, width, rate_hz, travel)
    first = 1 + int(rng.uniform(0, _DRIVE_LENGTH_S) * rate_hz)
    frames = [street.frame(first + number) for number in range(num_frames)]
    return tuple(
        MovingFrame(frame.image, frame.labels, frame.flow, frame.valid) for frame in frames
    )


@dataclass(frozen=True)
class ClipBatch:
    """N clips of T frames in order of the recursion: frames first, then clips.

    Attributes:
        images: (T, N, 3, h, w) float32 normalised images.
        logits: (T, N, K, h, w) float32 logits of the keyframe network on every frame.
        labels: (T, N, 2 * h, 2 * w) int64 class ids, 255 = void.
        flow: (T, N, 2, h, w) float32 flow to the previous frame, cells.
        valid: (T, N, h, w) float32, 1 where the flow is known, else 0.
    """

    images: Tensor
    logits: Tensor
    labels: Tensor
    flow: Tensor
    valid: Tensor


def draw_clips(
    recipe: PropagationRecipe,
    clips: ClipCache,
    normalisation: Normalisation,
    rng: np.random.Generator,
    device: torch.device,
) -> ClipBatch:
    """Return a batch of random clips, some of them mirrored or played backwards.

    Args:
        recipe: gives the number of clips in a batch.
        clips: clips to draw from.
        normalisation: constants of the network's input images.
        rng: source of the randomness.
        device: device of the returned tensors.
    """
    chosen = np.sort(
        rng.choice(len(clips), recipe.batch_size, replace=len(clips) < recipe.batch_size)
    )
    mirrored = rng.random(len(chosen)) < 0.5
    backwards = rng.random(len(chosen)) < _REVERSED
    return load_clips(clips, chosen, mirrored, backwards, normalisation, device)


def load_clips(
    clips: ClipCache,
    chosen: NDArray[np.intp],
    mirrored: NDArray[np.bool_],
    backwards: NDArray[np.bool_],
    normalisation: Normalisation,
    device: torch.device,
) -> ClipBatch:
    """Read clips, some of them mirrored left to right or played backwards.

    Args:
        clips: clips to choose from.
        chosen: (N,) numbers of the clips.
        mirrored: (N,) bool, true for clips that are mirrored.
        backwards: (N,) bool, true for clips that are played backwards.
        normalisation: constants of the network's input images.
        device: device of the returned tensors.
    """

    def stacked(array: NDArray[np.generic], column_axis: int) -> Tensor:
        values = []
        for index, mirror, backward in zip(chosen, mirrored, backwards, strict=True):
            value = array[index]
            value = value[::-1] if backward else value
            values.append(np.flip(value, column_axis) if mirror else value)
        return torch.from_numpy(np.stack(values, axis=1)).to(device)

    images = stacked(clips.images, 2).permute(0, 1, 4, 2, 3)
    flow = stacked(clips.flow, 3).float()
    flow[:, torch.from_numpy(mirrored).to(device), 0] *= -1
    valid = stacked(clips.valid, 2).float()
    # The flow of a clip played backwards is not known: it leads the other way.
    valid[:, torch.from_numpy(backwards).to(device)] = 0
    count, size = images.shape[0], images.shape[1]
    normalised = normalisation.apply(images.flatten(0, 1))
    normalised = normalised.contiguous(memory_format=torch.channels_last)
    return ClipBatch(
        normalised.view(count, size, *normalised.shape[1:]),
        stacked(clips.logits, 3).float(),
        stacked(clips.labels, 2).long(),
        flow,
        valid,
    )
