# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video made of one labelled still: a camera drives through it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.motion.camera import MotionRanges, draw_steps, step_flow
from gsvnet_lab.motion.cutouts import Cutout, draw_cutouts, paste
from gsvnet_lab.motion.frame import MovingFrame
from gsvnet_lab.motion.scene import SceneRoles, horizon_row, inverse_depth
from gsvnet_model.outputs.classes import IGNORE_INDEX

_ZOOM = (1.0, 1.7)
_FOCAL = (0.8, 1.6)
"""Focal length in image widths: of CamVid's camera, and of zooms into its images."""


def moving_still(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    num_frames: int,
    roles: SceneRoles,
    ranges: MotionRanges,
    library: Sequence[Cutout],
    rng: np.random.Generator,
) -> tuple[MovingFrame, ...]:
    """Render frames of a drive through a labelled still.

    The flow of every step follows from a drawn motion of the camera and a depth guessed from
    the labels. A frame samples the still at the sum of the flows since the first frame, so that
    flow and frames agree exactly, however good the guess of the depth is.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids, 255 = void.
        num_frames: number of frames, at least 1.
        roles: roles of the classes in a scene.
        ranges: ranges to draw the motion from.
        library: cut-outs that may move in front of the still; may be empty.
        rng: source of the randomness.

    Returns:
        The frames, of the still's size.

    Raises:
        ValueError: if the sizes of image and labels differ or no frame is asked for.

    Convention: flow as in `MovingFrame`; image bilinear, labels nearest; outside the still the
        image is reflected and the labels are void.
    """
    height, width = labels.shape
    if image.shape != (height, width, 3):
        raise ValueError(f"expected an image of shape {(height, width, 3)}, got {image.shape}")
    if num_frames < 1:
        raise ValueError(f"expected at least 1 frame, got {num_frames}")
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    # Where in the still each pixel of the frame comes from, as an offset to the pixel itself.
    origin = _first_view(height, width, rng) - pixels
    scene_image, scene_labels = _sample(image, labels, pixels + origin)
    half = (width // 2, height // 2)
    half_labels = cv2.resize(scene_labels, half, interpolation=cv2.INTER_NEAREST)
    focal = rng.uniform(*_FOCAL) * half[0]
    horizon = horizon_row(half_labels.astype(np.uint8), roles)
    depth = inverse_depth(half_labels.astype(np.uint8), roles, focal, horizon, rng)
    centre = (half[0] * rng.uniform(0.42, 0.58), horizon)
    count = int(rng.integers(ranges.cutouts + 1)) if library else 0
    things = draw_cutouts(library, scene_labels, count, num_frames, roles, rng)
    steps = draw_steps(num_frames - 1, ranges, rng)
    frames: list[MovingFrame] = []
    owners_before = np.zeros((height, width), np.uint8)
    for index in range(num_frames):
        flow = np.zeros((height, width, 2), np.float32)
        if index:
            half_flow, depth = step_flow(depth, steps[index - 1], focal, centre)
            full_flow = cv2.resize(half_flow, (width, height), interpolation=cv2.INTER_LINEAR)
            flow = (full_flow * (width / half[0], height / half[1])).astype(np.float32)
            origin = flow + _fetch(origin, pixels + flow)
            scene_image, scene_labels = _sample(image, labels, pixels + origin)
        owners = np.zeros((height, width), np.uint8)
        for owner, thing in enumerate(things, start=1):
            paste(scene_image, scene_labels, owners, thing, index, owner)
            rows, columns = np.nonzero(owners == owner)
            if index:
                flow[rows, columns] = thing.flow(index, rows, columns)
        valid = _same_owner(owners, owners_before, pixels + flow) if index else owners < 0
        shown = _exposed(scene_image, ranges, rng)
        frames.append(MovingFrame(shown, scene_labels, flow, valid))
        owners_before = owners
    return tuple(frames)


def _first_view(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a zoom into the still: (H, W, 2) positions (x, y) in it."""
    zoom = float(np.exp(rng.uniform(*np.log(_ZOOM))))
    left = rng.uniform(0, width * (1 - 1 / zoom))
    top = rng.uniform(0, height * (1 - 1 / zoom))
    x = left + np.arange(width, dtype=np.float32) / zoom
    y = top + np.arange(height, dtype=np.float32) / zoom
    return np.stack(np.meshgrid(x, y), -1).astype(np.float32)


def _fetch(values: NDArray[np.float32], positions: NDArray[np.float32]) -> NDArray[np.float32]:
    fetched = cv2.remap(
        values,
        positions[..., 0],
        positions[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(fetched, np.float32)


def _sample(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], positions: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    x, y = positions[..., 0], positions[..., 1]
    fast, fractions = cv2.convertMaps(x, y, cv2.CV_16SC2)
    view = cv2.remap(image, fast, fractions, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    view_labels = cv2.remap(
        labels,
        x,
        y,
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORE_INDEX,
    )
    return view.astype(np.uint8, copy=False), view_labels.astype(np.uint8, copy=False)


def _same_owner(
    owners: NDArray[np.uint8], before: NDArray[np.uint8], positions: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return where the point seen now was visible before: inside and not covered."""
    height, width = owners.shape
    x = np.rint(positions[..., 0]).astype(np.intp)
    y = np.rint(positions[..., 1]).astype(np.intp)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    owner_before = before[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.asarray(inside & (owner_before == owners), np.bool_)


def _exposed(
    image: NDArray[np.uint8], ranges: MotionRanges, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Change the brightness a little and add noise, anew in every frame."""
    result = cv2.convertScaleAbs(image, alpha=float(np.exp(rng.normal(0, ranges.gain))))
    sigma = rng.uniform(0, ranges.noise)
    if sigma > 0.5:
        noise = np.empty(result.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, np.zeros(3), np.full(3, sigma))
        result = cv2.add(result, noise, dtype=cv2.CV_8U)
    return result.astype(np.uint8, copy=False)
