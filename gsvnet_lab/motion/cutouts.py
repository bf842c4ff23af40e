# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Cut-outs of cars and people that move by themselves in front of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_lab.motion.scene import SceneRoles, horizon_row

_SMALLEST = 0.0015
"""Smallest cut-out, as a share of the image."""
_LARGEST = 0.15
_SCALE = (0.6, 1.8)


@dataclass(frozen=True)
class Cutout:
    """One thing cut out of a labelled image.

    Attributes:
        image: (h, w, 3) uint8 RGB, the box around the thing.
        mask: (h, w) uint8, 255 on the thing, else 0.
        label: class id of the thing.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    label: int


def collect_cutouts(
    stills: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], roles: SceneRoles
) -> tuple[Cutout, ...]:
    """Cut every movable thing that is wholly visible out of labelled images.

    Args:
        stills: pairs of an image (H, W, 3) uint8 RGB and labels (H, W) uint8.
        roles: roles of the classes in a scene.

    Returns:
        The cut-outs, in order.
    """
    found = []
    for image, labels in stills:
        height, width = labels.shape
        for label in roles.movable:
            count, parts, boxes, _ = cv2.connectedComponentsWithStats(
                (labels == label).astype(np.uint8), connectivity=8
            )
            for part in range(1, count):
                x, y, w, h, area = (int(value) for value in boxes[part])
                inside = x > 0 and y > 0 and x + w < width and y + h < height
                # Sparse boxes are things half hidden behind posts: no shape to move about.
                whole = area > 0.35 * w * h
                if inside and whole and _SMALLEST < area / labels.size < _LARGEST:
                    box = (slice(y, y + h), slice(x, x + w))
                    mask = (parts[box] == part).astype(np.uint8) * 255
                    found.append(Cutout(image[box].copy(), mask, label))
    return tuple(found)


@dataclass(frozen=True)
class MovingCutout:
    """A cut-out with its place in every frame.

    Attributes:
        cutout: the thing that moves.
        places: one (2, 3) float64 affine map per frame, from the cut-out's pixels to the frame's.
    """

    cutout: Cutout
    places: tuple[NDArray[np.float64], ...]

    def flow(
        self, index: int, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return the (n, 2) flow of pixels of this thing in frame `index` (1 or later).

        Convention: backward flow, (dx, dy) in pixels of the frame.
        """
        current = np.vstack((self.places[index], (0.0, 0.0, 1.0)))
        to_previous = self.places[index - 1] @ np.linalg.inv(current)
        points = np.stack((columns, rows, np.ones(len(rows))))
        return (to_previous @ points - points[:2]).T.astype(np.float32)


def draw_cutouts(
    library: Sequence[Cutout],
    labels: NDArray[np.uint8],
    count: int,
    num_frames: int,
    roles: SceneRoles,
    rng: np.random.Generator,
) -> tuple[MovingCutout, ...]:
    """Put cut-outs into a scene and let each grow or shrink and move steadily.

    Args:
        library: cut-outs to choose from.
        labels: (H, W) uint8 class ids of the first frame; things are put on its ground.
        count: number of things.
        num_frames: number of frames of the clip.
        roles: roles of the classes in a scene.
        rng: source of the randomness.

    Returns:
        The moving things, the farthest first.
    """
    height, width = labels.shape
    horizon = horizon_row(labels, roles)
    things: list[tuple[float, MovingCutout]] = []
    for _ in range(count):
        cutout = library[int(rng.integers(len(library)))]
        box_height, box_width = cutout.mask.shape
        scale = float(np.exp(rng.uniform(*np.log(_SCALE))))
        foot = rng.uniform(horizon + 0.05 * height, height)
        place = np.array(
            [
                [scale, 0.0, rng.uniform(0, width) - scale * box_width / 2],
                [0.0, scale, foot - scale * box_height],
            ]
        )
        growth = np.exp(rng.normal(0, 0.03))
        velocity = rng.normal(0, (0.012 * width, 0.004 * height))
        # Growing things come down the image as they come nearer.
        velocity[1] += (growth - 1) * (foot - horizon)
        places = [place]
        for _ in range(num_frames - 1):
            shake = 1 + rng.normal(0, 0.15)
            centre = place @ (box_width / 2, box_height, 1.0)
            step = growth**shake
            place = place.copy()
            place[:, :2] *= step
            place[:, 2] = centre + (place[:, 2] - centre) * step + velocity * shake
            places.append(place)
        things.append((foot, MovingCutout(cutout, tuple(places))))
    return tuple(thing for _, thing in sorted(things, key=lambda item: item[0]))


def paste(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    owners: NDArray[np.uint8],
    thing: MovingCutout,
    index: int,
    owner: int,
) -> None:
    """Put a thing into frame `index` of a clip, in place.

    Args:
        image: (H, W, 3) uint8 RGB of the frame.
        labels: (H, W) uint8 class ids of the frame.
        owners: (H, W) uint8, whose pixel it is: 0 the scene's, else the number of a thing.
        thing: the thing to put into the frame.
        index: number of the frame in the clip.
        owner: number of the thing.
    """
    size = (labels.shape[1], labels.shape[0])
    place = thing.places[index]
    mask = cv2.warpAffine(thing.cutout.mask, place, size, flags=cv2.INTER_LINEAR) >= 128
    moved = cv2.warpAffine(
        thing.cutout.image, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    image[mask] = moved[mask]
    labels[mask] = thing.cutout.label
    owners[mask] = owner
