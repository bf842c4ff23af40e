# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Variants of the propagation network, all trained and judged in the same way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gsvnet_lab.benchmark.complexity import NetworkCost, measure_complexity
from gsvnet_lab.data.camvid import open_split
from gsvnet_lab.evaluation.distances import DistanceEvaluation, evaluate_distances
from gsvnet_lab.reporting.environment import write_json
from gsvnet_lab.reporting.model_card import markdown_table
from gsvnet_lab.training.fingerprint import check_fingerprint
from gsvnet_lab.training.propagation import propagation_fingerprint, train_propagation
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_model.checkpoint import load_model, save_model
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork

MAX_INTERVAL = 5


@dataclass(frozen=True)
class Variant:
    """The changes to the recipe that make one row of the table.

    Attributes:
        name: name of the row; with dashes for spaces, of its folder too.
        network: changed fields of `PropagationConfig`.
        recipe: changed fields of `PropagationRecipe`.
    """

    name: str
    network: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, recipe: PropagationRecipe) -> PropagationRecipe:
        """Return the recipe with the changes of this row."""
        network = dataclasses.replace(recipe.network, **self.network)
        return dataclasses.replace(recipe, network=network, **self.recipe)

    @property
    def folder_name(self) -> str:
        """The name as a file name."""
        return self.name.replace(",", "").replace(" ", "-")


RELEASED = Variant("as released")
VARIANTS = (
    RELEASED,
    Variant("no intra features", {"use_intra": False}),
    Variant("learned kernels", {"learned_kernels": True}),
    Variant("5x5, 17 kernels", {"kernel_size": 5}),
    Variant("sigmoid edge", {"edge": "sigmoid"}),
    Variant("no edge", {"edge": "none"}),
    Variant("distilled by distance", recipe={"distillation": 1.0}),
)
"""The options of the paper's ablations and those where paper and released code differ."""


@dataclass(frozen=True)
class Row:
    """The figures of a row.

    Attributes:
        name: name of the row.
        parameters: number of parameters of the propagation network.
        multiply_adds: multiply-adds of a propagated frame.
        average_miou: average mIoU by keyframe interval from 1 on, percent.
        minimum_miou: mIoU of the last frame before the next keyframe, by keyframe interval from 1
            on, percent.
    """

    name: str
    parameters: int
    multiply_adds: int
    average_miou: tuple[float, ...]
    minimum_miou: tuple[float, ...]


def ablate(
    recipe: PropagationRecipe,
    keyframe: nn.Module,
    propagation: PropagationNetwork,
    info: ModelInfo,
    data: Path,
    folder: Path,
    device: torch.device,
    variants: Sequence[Variant] = VARIANTS,
) -> Iterator[Row]:
    """Train and judge every variant; a call that was cut goes on where it was.

    Args:
        recipe: recipe that the variants change.
        keyframe: keyframe network of all variants.
        propagation: a trained propagation network, whose flow network all variants start with.
        info: info of the two networks.
        data: CamVid folder: stills to train on, clip to judge on.
        folder: folder that holds the run of every variant in a folder of its own, and the clips
            that all share.
        device: device to train and judge on.
        variants: variants to train, in order. `RELEASED` adds the two rows without training.

    Yields:
        A row for each variant. After the row of `RELEASED` follow "warp only", its flow without
        the rest of the propagation network, and "repeat only", its keyframes' labels.
    """
    for variant in variants:
        run = folder / variant.folder_name
        rows_file = run / "rows.json"
        chosen = variant.changed(recipe)
        identity = propagation_fingerprint(chosen, keyframe, info, data, propagation.flow)
        if not rows_file.exists():
            weights = train_propagation(
                chosen,
                keyframe,
                info,
                data,
                run,
                device,
                propagation.flow,
                folder,
            )
            network = PropagationNetwork(chosen.network)
            network.load_state_dict(weights)
            described = chosen.described(info)
            rows = _judge(variant, keyframe, network, described, data, run, device)
            found = {"identity": identity, "rows": [dataclasses.asdict(row) for row in rows]}
            write_json(rows_file, found)
        content = json.loads(rows_file.read_text())
        check_fingerprint(run, content.get("identity"), identity)
        for values in content["rows"]:
            average, minimum = (
                tuple(values.pop(name)) for name in ("average_miou", "minimum_miou")
            )
            yield Row(**values, average_miou=average, minimum_miou=minimum)


def _judge(
    variant: Variant,
    keyframe: nn.Module,
    propagation: PropagationNetwork,
    info: ModelInfo,
    data: Path,
    run: Path,
    device: torch.device,
) -> list[Row]:
    path = run / "weights.safetensors"
    save_model(path, keyframe, propagation, info, torch.float16)
    split = open_split(data, "val", info.classes.num_classes)
    result = evaluate_distances(load_model(path, str(device)), split, MAX_INTERVAL)
    cost = measure_complexity(keyframe, propagation, info, split[0][1].shape)
    rows = [_row(variant.name, cost.propagation, result)]
    if variant == RELEASED:
        warped = dataclasses.replace(result, propagated=result.warped)
        repeated = dataclasses.replace(result, propagated=result.repeated)
        rows += [
            _row("warp only", cost.flow, warped),
            _row("repeat only", NetworkCost(0, 0), repeated),
        ]
    return rows


def _row(name: str, cost: NetworkCost, result: DistanceEvaluation) -> Row:
    intervals = range(1, result.max_interval + 1)
    return Row(
        name,
        cost.parameters,
        cost.multiply_adds,
        tuple(result.average_miou(interval) for interval in intervals),
        tuple(result.minimum_miou(interval) for interval in intervals),
    )


def ablation_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table: average and minimum mIoU by keyframe interval."""
    intervals = range(2, MAX_INTERVAL + 1)
    header = ("variant", "parameters", "G multiply-adds", *(f"interval {n}" for n in intervals))
    return markdown_table(
        header,
        [
            (
                row.name,
                f"{row.parameters:,}",
                f"{1e-9 * row.multiply_adds:.3f}",
                *(
                    f"{row.average_miou[interval - 1]:.1f} / {row.minimum_miou[interval - 1]:.1f}"
                    for interval in intervals
                ),
            )
            for row in rows
        ],
    )
