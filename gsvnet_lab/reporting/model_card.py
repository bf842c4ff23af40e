# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The model card: what a weights file is, how it was made and what it scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gsvnet_lab.reporting.environment import sha256
from gsvnet_model.checkpoint import read_networks
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.outputs.classes import CAMVID


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; numbers get one decimal."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for row in rows:
        cells = (f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _adjustment(info: ModelInfo) -> str:
    pairs = zip(info.classes.names, info.logit_adjustment, strict=False)  # or none at all
    return ", ".join(f"{name} {value:+.2f}" for name, value in pairs) or "nothing"


def _input(info: ModelInfo) -> str:
    size = f"{info.input_scale:.4g} pixels per image pixel and direction"
    if info.max_input_pixels:
        size += f", at most about {info.max_input_pixels:,} in all"
    return size + (f"; sides of {info.input_stride} n + 1" if info.input_stride > 1 else "")


def write_model_card(path: Path, weights: Path, tables: Mapping[str, str]) -> None:
    """Write the card of a weights file.

    Args:
        path: Markdown file to write.
        weights: the checkpoint that was measured.
        tables: measured figures as Markdown, by heading.
    """
    _, _, info = read_networks(weights)
    facts = [
        ("keyframe network", info.keyframe_network),
        ("classes", ", ".join(info.classes.names)),
        ("mean, std (RGB, 0..255)", f"{info.normalisation.mean}, {info.normalisation.std}"),
        ("keyframe input", _input(info)),
        ("grid stride, filter", f"{info.grid_stride}, {info.grid_filter}"),
        ("added to logits, by class", _adjustment(info)),
        ("temperatures by age", ", ".join(f"{value:.3g}" for value in info.temperatures)),
        ("their logarithm, per percent of disagreement", f"{info.temperature_slope:+.4f}"),
        ("file", f"`{weights.name}`, {weights.stat().st_size / 1e6:.1f} MB"),
        ("sha256", f"`{sha256(weights)}`"),
        ("trained by", f"`{info.command}`"),
    ]
    scenes = (
        "Trained on 367 street scenes of one town by daylight (CamVid, research use) and on "
        "rendered streets. Expect less elsewhere, at night and in rain; confidences are not "
        "calibrated there."
        if info.classes == CAMVID
        else "Expect less on scenes unlike those of the training; confidences are not calibrated "
        "there."
    )
    parts = [
        f"# {weights.stem}",
        markdown_table(("", ""), [(name, str(value)) for name, value in facts]),
        *(f"## {heading}\n\n{table}" for heading, table in tables.items()),
        f"## Use\n\n{scenes}",
    ]
    path.write_text("\n\n".join(parts) + "\n")
