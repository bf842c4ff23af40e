# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What decides a training run of a universal propagation network."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from gsvnet_lab.motion.camera import MotionRanges
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.recipe import RECIPE_CONFIG, Count, CountOrNone, Share
from gsvnet_lab.universal.network import UniversalConfig


@dataclass(frozen=True, config=RECIPE_CONFIG)
class UniversalRecipe(PropagationRecipe):
    """Everything that decides what a training run of a universal propagation network gives.

    `network` says the number of classes that the clips are labelled in, nothing else.

    Attributes:
        universal: choices of the universal network.
        merged: share of the batches in which classes are merged.
        split: share of the batches in which classes are split.
        longer: share of the batches whose clips are played to their end and back.
        longer_distance: frames since the keyframe in these.
        logit_scale: logits are multiplied by up to this, or divided.
        wide_clips: number of clips made of stills with `wide_motion` on top of the others.
        wide_motion: ranges of motion unlike a car's.

    Raises:
        ValueError: If a field is outside its range.
    """

    universal: UniversalConfig = field(default_factory=UniversalConfig)
    merged: Share = 0.5
    split: Share = 0.3
    longer: Share = 0.2
    longer_distance: Count = 10
    logit_scale: Annotated[float, Field(ge=1)] = 1.5
    wide_clips: CountOrNone = 0
    wide_motion: MotionRanges = field(default_factory=MotionRanges)

    @property
    def of_wide_clips(self) -> PropagationRecipe:
        """What the clips with `wide_motion` are rendered by."""
        return dataclasses.replace(
            self, still_clips=self.wide_clips, drive_clips=0, motion=self.wide_motion
        )
