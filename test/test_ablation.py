# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The ablation: every variant trained alike, judged alike, and only once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from gsvnet_lab.training import ablation
from gsvnet_lab.training.ablation import RELEASED, VARIANTS, Row, ablate, ablation_table
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.recipe import read_recipe
from gsvnet_model.checkpoint import read_networks

RECIPES = Path(__file__).parent.parent / "recipes"
TINY = PropagationRecipe(
    still_clips=2,
    drive_clips=0,
    held_out_clips=1,
    distance=2,
    flow_iterations=0,
    iterations=2,
    batch_size=2,
)


def test_rows_are_trained_once_and_say_what_they_cost(
    training_folder: Path, weights_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyframe, propagation, info = read_networks(weights_path)

    def rows() -> list[Row]:
        device = torch.device("cpu")
        arguments = (TINY, keyframe, propagation, info, training_folder, tmp_path, device)
        return list(ablate(*arguments, (RELEASED, VARIANTS[3])))

    first = rows()
    assert [row.name for row in first] == [
        "as released",
        "warp only",
        "repeat only",
        "5x5, 17 kernels",
    ]
    released, warped, repeated, larger = first
    # method.md 2.6: 391,871 with 11 classes, of which the flow network 186,402.
    assert (released.parameters, warped.parameters) == (391_871, 186_402)
    assert larger.parameters > released.parameters
    assert released.multiply_adds > warped.multiply_adds > repeated.multiply_adds == 0
    for row in first:
        assert row.average_miou[0] == row.minimum_miou[0] == released.average_miou[0]
        assert row.average_miou[0] < 100
    assert repeated.minimum_miou[1:] != released.minimum_miou[1:]
    monkeypatch.setattr(ablation, "train_propagation", None)  # must not be called again
    assert rows() == first
    other = dataclasses.replace(TINY, seed=TINY.seed + 1)
    arguments = (other, keyframe, propagation, info, training_folder, tmp_path)
    with pytest.raises(ValueError, match="holds a training of another recipe"):
        next(ablate(*arguments, torch.device("cpu"), (RELEASED,)))
    lines = ablation_table(first).splitlines()
    assert len(lines) == 2 + len(first)
    assert "391,871" in lines[2]


def test_variants_change_what_they_name_and_nothing_else() -> None:
    recipe = read_recipe(RECIPES / "ablation_camvid.yaml", PropagationRecipe)
    changed = [variant.changed(recipe) for variant in VARIANTS]
    assert changed[0] == recipe
    assert len(set(map(repr, changed))) == len(VARIANTS)
    assert len({variant.folder_name for variant in VARIANTS}) == len(VARIANTS)
    for variant, other in zip(VARIANTS, changed, strict=True):
        back = {name: getattr(recipe, name) for name in variant.recipe}
        network = {name: getattr(recipe.network, name) for name in variant.network}
        restored = dataclasses.replace(
            other, network=dataclasses.replace(other.network, **network), **back
        )
        assert restored == recipe
