# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What tells one training from another, so that a folder is not gone on with by mistake."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from gsvnet_lab.data.camvid import LabelledImages
from street_drive import RENDERER_VERSION


def fingerprint(*parts: object) -> str:
    """Return a text that differs where any part differs.

    Args:
        parts: what decides about a training: networks count by their weights, anything else, such
            as a recipe, by what `repr` says of it.
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
    """Return a text that differs where the stills or the renderer of street drives do."""
    return stills.digest() + RENDERER_VERSION


def check_fingerprint(folder: object, found: object, wanted: str) -> None:
    """Check that what lies in a folder is of the training at hand.

    Raises:
        ValueError: if it is of another one.
    """
    if found is None:
        raise ValueError(
            f"{folder}: holds a training of a version that did not note what it was of; choose "
            "another folder"
        )
    if found != wanted:
        raise ValueError(
            f"{folder}: holds a training of another recipe, other data or from other weights; go "
            "on with those it was begun with, or choose another folder"
        )
