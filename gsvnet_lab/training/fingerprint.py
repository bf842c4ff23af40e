# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Fingerprints of trainings, so that a run is not continued with another recipe by mistake."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from gsvnet_lab.data.camvid import LabelledImages
from street_drive import RENDERER_VERSION


def fingerprint(*parts: object) -> str:
    """Return a text that differs where any part differs.

    Args:
        parts: everything that decides the result of a training. A network counts by its weights,
            anything else, such as a recipe, by its `repr`.
    """
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            for name, value in part.state_dict().items():
                content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                found.update(name.encode())
                found.update(content.numpy().tobytes())
        else:
            found.update(repr(part).encode())
        found.update(b"|")
    return found.hexdigest()[:16]


def data_fingerprint(stills: LabelledImages) -> str:
    """Return a text that differs where the stills or the renderer of street drives differ."""
    return stills.digest() + RENDERER_VERSION


def check_fingerprint(folder: object, found: object, wanted: str) -> None:
    """Check that the contents of a folder belong to the training at hand.

    Args:
        folder: name of the folder, for the message.
        found: fingerprint that was found in the folder; None where there is none.
        wanted: fingerprint of the training at hand.

    Raises:
        ValueError: if they belong to another training.
    """
    if found is None:
        raise ValueError(
            f"{folder}: holds a training of an older version of this program, which wrote no "
            "fingerprint; choose another folder"
        )
    if found != wanted:
        raise ValueError(
            f"{folder}: holds a training of another recipe, other data or from other weights; "
            "continue it with what it was started with, or choose another folder"
        )
