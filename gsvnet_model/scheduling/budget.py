# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""As many keyframes as a mean time per frame allows, where they help most."""

from __future__ import annotations

import math

from gsvnet_model.scheduling.adaptive import DEFAULT_THRESHOLD, allowance, threshold_of
from gsvnet_model.scheduling.quality import FrameQuality

DEFAULT_TARGET_MS = 25.0
"""Leaves a camera of 30 Hz a quarter of its time for everything else."""

_SMOOTHING = 0.2
"""Weight of the newest frame in the running costs: a load that starts is known in a few frames."""
_STEP = 0.4
"""How far one keyframe too many moves the logarithm of the allowance."""
_STEER = 1.0
"""How much a debt of one keyframe raises the logarithm of the allowance."""
_BAND = 0.75
"""Debt and savings in keyframes at which quality has no say any more."""


class BudgetPolicy:
    """Keeps the mean time per frame at a target.

    What a frame costs above or below the target is carried over as debt or savings. The allowance
    that `AdaptivePolicy` has fixed is steered here: it drifts until keyframes are
    as frequent as the target allows, and a debt raises it at once. Savings of most of a keyframe
    are spent and debts of as much paid off whatever the quality, so the mean over n frames is
    off by no more than 1.5 keyframes / n.

    Args:
        target_ms: mean milliseconds per frame, all stages together. Less than a propagated frame
            costs gives no keyframe by choice, more than a keyframe costs nothing else.

    Raises:
        ValueError: if the target is not positive.
    """

    def __init__(self, target_ms: float) -> None:
        self._keyframe_ms = math.nan
        self._propagated_ms = math.nan
        self._log_allowance = math.log(allowance(DEFAULT_THRESHOLD))
        self._savings_ms = 0.0
        self.target_ms = target_ms

    @property
    def target_ms(self) -> float:
        """Mean milliseconds per frame; a change forgets old debt and keeps what was learned."""
        return self._target_ms

    @target_ms.setter
    def target_ms(self, target_ms: float) -> None:
        if not (target_ms > 0 and math.isfinite(target_ms)):
            raise ValueError(f"expected a target of more than 0 ms per frame, got {target_ms}")
        self._target_ms = target_ms
        self._savings_ms = 0.0

    @property
    def share(self) -> float:
        """Share of keyframes that the target allows at present costs; nan until both are known."""
        extra = self._keyframe_ms - self._propagated_ms
        if math.isnan(extra):
            return math.nan
        if extra <= 0:
            # One slow frame may have made it look so. Where keyframes alone exceed the target,
            # only propagated frames can show that they are cheap after all.
            return 1.0 if self._keyframe_ms <= self._target_ms else 0.0
        affordable = self._target_ms - self._propagated_ms
        return min(1.0, max(0.0, affordable / extra))

    def due(self, age: int) -> str:
        """Return "budget" when savings suffice whatever the quality; see `KeyframePolicy`."""
        if math.isnan(self._keyframe_ms):
            return "budget"  # to learn what it costs
        # Nothing is gained by propagating first what will be a keyframe anyhow.
        return "budget" if self._balance() >= _BAND or self.share >= 1.0 else ""

    def judge(self, quality: FrameQuality) -> str:
        """Return "quality" when the allowance of the moment is used up and there is no big debt."""
        balance = self._balance()
        if math.isnan(balance) or balance <= -_BAND or self.share <= 0.0:
            return ""
        limit = math.exp(self._log_allowance - _STEER * balance)
        return "quality" if quality.need > limit else ""

    def observe(self, is_keyframe: bool, milliseconds: float) -> None:
        """Learn what frames cost, and steer."""
        if is_keyframe:
            self._keyframe_ms = _smoothed(self._keyframe_ms, milliseconds)
        else:
            self._propagated_ms = _smoothed(self._propagated_ms, milliseconds)
        share = self.share
        if math.isnan(share):
            return
        extra = max(self._keyframe_ms - self._propagated_ms, 0.0)
        self._savings_ms += self._target_ms - milliseconds
        # A target out of reach must not leave a debt or savings for when it is in reach again.
        self._savings_ms = min(max(self._savings_ms, -2 * extra), 2 * extra)
        self._log_allowance += _STEP * (float(is_keyframe) - share)
        self._log_allowance = min(max(self._log_allowance, 0.0), 8.0)

    def describe(self) -> dict[str, str]:
        """Return name, target, and the interval and threshold that were chosen."""
        share = self.share
        return {
            "policy": "budget",
            "target_ms": f"{self._target_ms:g}",
            "interval": f"{1 / share:.1f}" if share > 0 else "",
            "threshold": f"{threshold_of(math.exp(self._log_allowance)):.1f}",
        }

    def _balance(self) -> float:
        """Return savings (debt if negative) in keyframes above propagated frames."""
        extra = self._keyframe_ms - self._propagated_ms
        if math.isnan(extra):
            return math.nan
        return self._savings_ms / extra if extra > 0 else 0.0


def _smoothed(old: float, new: float) -> float:
    return new if math.isnan(old) else old + _SMOOTHING * (new - old)
