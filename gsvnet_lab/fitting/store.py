# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What was fitted to weights or measured with them goes into their file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from gsvnet_model.checkpoint import replace_info
from gsvnet_model.checkpoint.metadata import STORED_LOGIT_ADJUSTMENT
from gsvnet_model.scheduling.quality import QualityModel


def store_metrics(path: Path, metrics: Mapping[str, float]) -> None:
    """Replace the figures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    replace_info(path, {"metrics": dict(metrics)})


def store_logit_adjustment(path: Path, bias: Sequence[float], command: str) -> None:
    """Replace the class bias in a checkpoint's metadata; the tensors stay, its metrics go.

    Args:
        path: of the checkpoint.
        bias: what is added to the logits, one value per class.
        command: all that made the weights, this one included.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    stale_metrics: dict[str, float] = {}  # they were measured with other labels
    replace_info(
        path, {STORED_LOGIT_ADJUSTMENT: list(bias), "metrics": stale_metrics, "command": command}
    )


def store_temperatures(path: Path, temperatures: Sequence[float]) -> None:
    """Replace the temperatures in a checkpoint's metadata; the tensors stay as they are.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    replace_info(path, {"temperatures": list(temperatures)})


def store_quality(path: Path, quality: QualityModel, temperature_slope: float) -> None:
    """Replace the estimate of quality in a checkpoint's metadata; the tensors stay as they are.

    Args:
        path: of the checkpoint.
        quality: the estimate.
        temperature_slope: how the confidence follows it; see `ModelInfo`.

    Raises:
        ValueError: if the file is no checkpoint of this project.
    """
    replace_info(
        path, {"quality": dataclasses.asdict(quality), "temperature_slope": temperature_slope}
    )
