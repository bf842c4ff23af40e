# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How far propagated labels are from what a keyframe would say now."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.scheduling.signals import SIGNAL_NAMES

_AHEAD = np.arange(8.0)
"""Frames of motion to come that are counted on; most stops and speeds last longer."""
_FORGETTING = 0.1
"""Share of what is known of a stream that one more keyframe replaces."""
_LARGEST_FACTOR = 4.0


@dataclass(frozen=True)
class QualityModel:
    """A monotone estimate of disagreement, and a test for cuts; fitted by `gsvnet fit-quality`.

    With s a signal summed over the steps since the keyframe, disagreement is the sum of
    linear * s + root * sqrt(s), in percent of the pixels. A step is a cut if bias and the sum of
    cut * log(signal + 0.001) of that step alone are positive.

    Attributes:
        linear: weights of the sums, by name out of `SIGNAL_NAMES`, not negative; a name that is
            left out weighs 0.
        root: weights of the square roots of the sums, by name out of `SIGNAL_NAMES`, not
            negative; a name that is left out weighs 0.
        cut: weights of the logarithms in the test for cuts, by name out of `SIGNAL_NAMES`; a name
            that is left out weighs 0.
        cut_bias: constant in the test for cuts; the default weights never see a cut.
    """

    linear: Mapping[str, float] = field(default_factory=dict)
    root: Mapping[str, float] = field(default_factory=dict)
    cut: Mapping[str, float] = field(default_factory=dict)
    cut_bias: float = 0.0

    def __post_init__(self) -> None:
        """Check the weights."""
        for name in ("linear", "root", "cut"):
            unknown = sorted(set(getattr(self, name)) - set(SIGNAL_NAMES))
            if unknown:
                raise ValueError(f"{name}: expected signals out of {SIGNAL_NAMES}, got {unknown}")
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
        linear, root = self._weights
        values = np.maximum(sums, 0)
        return np.asarray(np.minimum(values @ linear + np.sqrt(values) @ root, 100.0))

    def is_cut(self, signals: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether the (..., S) signals of a step mean a cut."""
        score = np.full(signals.shape[:-1], self.cut_bias)
        for name, weight in self.cut.items():
            score += weight * log_signal(signals[..., SIGNAL_NAMES.index(name)])
        return np.asarray(score > 0)

    @functools.cached_property
    def _weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(S,) linear and root, of all signals."""
        linear, root = (
            np.array([weights.get(name, 0.0) for name in SIGNAL_NAMES])
            for weights in (self.linear, self.root)
        )
        return linear, root


def log_signal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm on which cuts and fast motion lie apart best."""
    return np.asarray(np.log(np.maximum(values, 0) + 1e-3))


@dataclass(frozen=True)
class Correction:
    """What estimates have to be multiplied with in one stream.

    A fit is too high for one camera and too low for another. Where a propagated frame becomes a
    keyframe after all, both labels are there, and show by how much.

    Attributes:
        true: sum of the disagreements seen, percent; the last dozen keyframes count.
        estimated: sum of the disagreements estimated for those frames, percent; both sums start
            equal.
    """

    true: float = 10.0
    estimated: float = 10.0

    @property
    def factor(self) -> float:
        """The correction; within limits, so that no single camera fault lasts."""
        return min(max(self.true / self.estimated, 1 / _LARGEST_FACTOR), _LARGEST_FACTOR)

    def after(self, true: float, estimated: float) -> Correction:
        """Return the correction one keyframe later."""
        return Correction(
            (1 - _FORGETTING) * self.true + true, (1 - _FORGETTING) * self.estimated + estimated
        )


@dataclass(frozen=True)
class FrameQuality:
    """What is known of a propagated frame; of constant size, replaced whole with every frame.

    Attributes:
        age: frames since the keyframe.
        disagreement: estimated percent of pixels that a keyframe would label differently.
        shortfall: disagreement summed over the frames since the keyframe: percent * frames.
        is_cut: whether the scene was replaced in this frame.
        sums: (S,) signals summed since the keyframe.
        saving: what a keyframe in place of this frame would save in the frames to come until
            its own labels were as far off, percent * frames; if motion goes on as it is, and for
            eight frames at most.
        recent: (S,) signals of the last step; zeros if the scene stands.
        still: frames in a row in which nothing moved. One alone may be a repeated frame.
        correction: what the estimates of this stream are multiplied with.
    """

    age: int = 0
    disagreement: float = 0.0
    shortfall: float = 0.0
    is_cut: bool = False
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(SIGNAL_NAMES)))
    saving: float = 0.0
    recent: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(SIGNAL_NAMES)))
    still: int = 0
    correction: Correction = field(default_factory=Correction)

    @property
    def need(self) -> float:
        """How much a keyframe is needed, percent * frames.

        That is what it would save. Where that is little but was lost for long, half of the loss
        counts, so that slightly stale labels of a standing scene are replaced one day.
        """
        return max(self.saving, 0.5 * self.shortfall)

    def after(self, model: QualityModel, signals: NDArray[np.float64] | None) -> FrameQuality:
        """Return the quality one frame later.

        Args:
            model: the fitted model.
            signals: (S,) of the step; None if nothing moved and the labels were kept.
        """
        sums, recent, still = self.sums, self.recent, self.still + 1
        if signals is not None:
            sums, recent, still = sums + signals, signals, 0
        elif still > 1:
            recent = np.zeros(len(SIGNAL_NAMES))
        factor = self.correction.factor
        disagreement = min(factor * float(model.disagreement(sums)), 100.0)
        fresh = factor * model.disagreement(_AHEAD[:, None] * recent)
        return FrameQuality(
            self.age + 1,
            disagreement,
            self.shortfall + disagreement,
            signals is not None and bool(model.is_cut(signals)),
            sums,
            float(np.maximum(disagreement - fresh, 0).sum()),
            recent,
            still,
            self.correction,
        )

    def renewed(self, true_disagreement: float | None = None) -> FrameQuality:
        """Return the quality of a keyframe in place of this frame, or of the one after it.

        Args:
            true_disagreement: percent of pixels in which this frame's labels are unlike the
                keyframe's, if the keyframe is of this frame.
        """
        correction = self.correction
        # After a cut the labels show another scene, which says nothing about estimates.
        if true_disagreement is not None and self.disagreement > 0 and not self.is_cut:
            estimated = self.disagreement / correction.factor
            correction = correction.after(true_disagreement, estimated)
        return FrameQuality(correction=correction)
