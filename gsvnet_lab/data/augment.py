# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Augmentation of labelled images: geometry, colour and pasting of classes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX

_DUSK_GAMMA = (1.0, 1.4)
_DUSK_GAIN = (0.5, 0.9)
_DUSK_CAST = (0.85, 1.15)


@dataclass(frozen=True)
class Augmentation:
    """Ranges from which one view of a labelled image is drawn.

    Attributes:
        scale: smallest and largest zoom, drawn log-uniformly.
        rotation_deg: largest roll to either side.
        flip: probability of a horizontal flip.
        brightness: largest relative change of the gain.
        contrast: largest relative change about the mean.
        saturation: largest relative change about the grey value.
        channel_gain: largest relative change of a single channel (white balance).
        gamma: largest logarithm of the exponent applied to grey levels, to either side.
        dusk: probability of an image at dusk: dark, of poor contrast and with a colour cast.
        blur: probability of a light Gaussian blur.
        noise: largest standard deviation of added noise, grey levels.
        paste: probability that classes of another view are pasted on top (ClassMix).
    """

    scale: tuple[float, float] = (0.6, 1.7)
    rotation_deg: float = 4.0
    flip: float = 0.5
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    channel_gain: float = 0.08
    gamma: float = 0.0
    dusk: float = 0.0
    blur: float = 0.15
    noise: float = 6.0
    paste: float = 0.3

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"expected 0 < smallest <= largest scale, got {self.scale}")


def random_view(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    size: tuple[int, int],
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a random crop of a scaled, rotated, flipped and recoloured image with its labels.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids, 255 = void.
        size: (height, width) of the crop; what lies outside the image is void.
        augmentation: the ranges to draw from.
        rng: source of the randomness.

    Returns:
        The view's image and labels.

    Convention:
        One affine map for both; image bilinear, labels nearest; outside reflected in the
        image and void in the labels.
    """
    view, view_labels = _random_crop(image, labels, size, augmentation, rng)
    return _random_colour(view, augmentation, rng), view_labels


def paste_classes(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    other_image: NDArray[np.uint8],
    other_labels: NDArray[np.uint8],
    rng: np.random.Generator,
) -> None:
    """Paste half of the classes of another view of the same size on top, in place (ClassMix)."""
    classes = np.unique(other_labels)
    classes = classes[classes != IGNORE_INDEX]
    if not len(classes):
        return
    chosen = rng.choice(classes, max(1, len(classes) // 2), replace=False)
    mask = np.isin(other_labels, chosen)
    image[mask] = other_image[mask]
    labels[mask] = other_labels[mask]


def _random_crop(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    size: tuple[int, int],
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = size
    low, high = np.log(augmentation.scale)
    scale = float(np.exp(rng.uniform(low, high)))
    angle = np.deg2rad(rng.uniform(-1, 1) * augmentation.rotation_deg)
    mirror = -1.0 if rng.random() < augmentation.flip else 1.0
    # The crop's centre is drawn so that the crop stays inside the image where it fits.
    centre = []
    for side, crop in ((image.shape[1], width), (image.shape[0], height)):
        half = crop / scale / 2
        low_centre, high_centre = sorted((half, side - half))
        centre.append(rng.uniform(low_centre, high_centre))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[cos * mirror, -sin, 0.0], [sin * mirror, cos, 0.0]])
    matrix[:, 2] = (width / 2, height / 2) - matrix[:, :2] @ np.array(centre)
    view = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    view_labels = cv2.warpAffine(
        labels,
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORE_INDEX,
    )
    return view.astype(np.uint8, copy=False), view_labels.astype(np.uint8, copy=False)


def _random_colour(
    image: NDArray[np.uint8], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    a = augmentation
    gain = 1 + rng.uniform(-1, 1) * a.brightness
    contrast = 1 + rng.uniform(-1, 1) * a.contrast
    saturation = 1 + rng.uniform(-1, 1) * a.saturation
    channels = 1 + rng.uniform(-1, 1, 3) * a.channel_gain
    # All of these are affine in RGB, so that one 3x4 matrix does them in one pass.
    luma = np.full((3, 3), 1 / 3) * (1 - saturation) + np.eye(3) * saturation
    matrix = np.zeros((3, 4))
    matrix[:, :3] = np.diag(channels) @ luma * gain * contrast
    matrix[:, 3] = float(image.mean()) * gain * (1 - contrast)
    result = cv2.transform(image, matrix)
    if a.gamma or a.dusk:
        result = cv2.LUT(result, _tone_curve(a, rng))
    if rng.random() < a.blur:
        result = cv2.GaussianBlur(result, (0, 0), rng.uniform(0.4, 1.2))
    sigma = rng.uniform(0, a.noise)
    if sigma > 1:
        noise = np.empty(result.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, np.zeros(3), np.full(3, sigma))
        result = cv2.add(result, noise, dtype=cv2.CV_8U)
    return result.astype(np.uint8, copy=False)


def _tone_curve(augmentation: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random (1, 256, 3) table of grey levels for `cv2.LUT`."""
    gamma = np.exp(rng.uniform(-1, 1) * augmentation.gamma)
    gain = np.ones(3)
    if rng.random() < augmentation.dusk:
        gamma *= rng.uniform(*_DUSK_GAMMA)
        gain = rng.uniform(*_DUSK_GAIN) * rng.uniform(*_DUSK_CAST, 3)
    levels = (np.arange(256) / 255.0) ** gamma
    curve: NDArray[np.float64] = np.clip(levels[:, None] * gain * 255 + 0.5, 0, 255)
    return curve.astype(np.uint8)[None]
