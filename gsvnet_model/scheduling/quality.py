# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How far propagated labels are from what a keyframe would say now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.scheduling.signals import SIGNAL_NAMES

FEATURES = (
    "residual",
    "large_residual",
    "outside",
    "difference",
    "flow",
    "shear",
    "corrected",
    "changed",
    "margin_drop",
)
"""Signals that mean loss: added up since the keyframe, more of each is never a better label."""


@dataclass(frozen=True)
class QualityModel:
    """A monotone estimate of disagreement, and a test for cuts; fitted by `gsvnet fit-quality`.

    With s a signal summed over the steps since the keyframe, disagreement is the sum of
    linear * s + root * sqrt(s), in percent of the pixels. A step is a cut if bias and the sum of
    cut * log(signal + 0.001) of that step alone are positive.

    Attributes:
        linear: by name out of `FEATURES`, not negative; names left out weigh 0, as below.
        root: likewise.
        cut: by name out of `FEATURES`.
        cut_bias: constant of that sum; the default weights never see a cut.
    """

    linear: Mapping[str, float] = field(default_factory=dict)
    root: Mapping[str, float] = field(default_factory=dict)
    cut: Mapping[str, float] = field(default_factory=dict)
    cut_bias: float = 0.0

    def __post_init__(self) -> None:
        """Check the weights."""
        for name in ("linear", "root", "cut"):
            unknown = sorted(set(getattr(self, name)) - set(FEATURES))
            if unknown:
                raise ValueError(f"{name}: expected signals out of {FEATURES}, got {unknown}")
        for name in ("linear", "root"):
            if any(not value >= 0 for value in getattr(self, name).values()):
                raise ValueError(
                    f"{name}: expected weights of 0 or more, got {getattr(self, name)}"
                )

    @property
    def is_fitted(self) -> bool:
        """Whether it estimates anything."""
        return bool(self.linear or self.root or self.cut)

    def disagreement(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return percent of pixels, 0..100, of (..., S) signals summed since the keyframe."""
        total = np.zeros(sums.shape[:-1])
        for index, name in enumerate(SIGNAL_NAMES):
            linear, root = self.linear.get(name, 0.0), self.root.get(name, 0.0)
            if linear or root:
                value = np.maximum(sums[..., index], 0)
                total += linear * value + root * np.sqrt(value)
        return np.minimum(total, 100.0)

    def is_cut(self, signals: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether (..., S) signals of a step are those of a cut."""
        score = np.full(signals.shape[:-1], self.cut_bias)
        for name, weight in self.cut.items():
            score += weight * log_signal(signals[..., SIGNAL_NAMES.index(name)])
        return np.asarray(score > 0)


def log_signal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm on which cuts and fast motion lie apart best."""
    return np.asarray(np.log(np.maximum(values, 0) + 1e-3))


@dataclass(frozen=True)
class FrameQuality:
    """What is known of a propagated frame; of constant size, replaced whole with every frame.

    Attributes:
        age: frames since the keyframe.
        disagreement: estimated percent of pixels that a keyframe would label differently.
        shortfall: disagreement summed over the frames since the keyframe: percent * frames.
        is_cut: whether the scene was replaced in this frame.
        sums: (S,) signals summed since the keyframe.
    """

    age: int = 0
    disagreement: float = 0.0
    shortfall: float = 0.0
    is_cut: bool = False
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(SIGNAL_NAMES)))

    def after(self, model: QualityModel, signals: NDArray[np.float64] | None) -> FrameQuality:
        """Return the quality one frame later.

        Args:
            model: the fitted model.
            signals: (S,) of the step; None if nothing moved and the labels were kept.
        """
        if signals is None:
            return replace(
                self, age=self.age + 1, shortfall=self.shortfall + self.disagreement, is_cut=False
            )
        sums = self.sums + signals
        disagreement = float(model.disagreement(sums))
        return FrameQuality(
            self.age + 1,
            disagreement,
            self.shortfall + disagreement,
            bool(model.is_cut(signals)),
            sums,
        )
