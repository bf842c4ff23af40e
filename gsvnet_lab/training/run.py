# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A training run on disk: its checkpoint, its log and its plot. A run resumes by itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gsvnet_lab.training.fingerprint import check_fingerprint
from gsvnet_model.checkpoint.atomic_file import atomic_write

_LOG = "log.jsonl"
_FORMAT = 2
"""Of the checkpoint: what `Trainer` keeps in it."""


def read_log(folder: Path) -> list[dict[str, float]]:
    """Return the lines of a run's log; a resumed run repeats no iteration (the last one wins)."""
    log = folder / _LOG
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines() if line]
    return [line for _, line in sorted({line["iteration"]: line for line in lines}.items())]


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state of a training; a half-copied file is told as such."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes break a pickle in every way there is
        raise ValueError(
            f"{path}: expected the state of a training, got a damaged file; delete it to begin "
            "anew, or choose another folder"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected the state of a training, got {type(found).__name__}")
    return found


class Run:
    """The folder of one training run.

    Args:
        folder: created if missing. Holds checkpoint.pt, log.jsonl and curves.png.
        identity: text that tells this training from others; see `fingerprint`.

    Attributes:
        folder: the folder.
        checkpoint: state that the run goes on from; None for a new run.

    Raises:
        ValueError: if the folder holds another training.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._identity = identity
        self._file = self.checkpoint_file(folder)
        self.checkpoint: dict[str, Any] | None = None
        if self._file.exists():
            found = _read_checkpoint(self._file)
            check_fingerprint(folder, found.get("identity"), identity)
            if found.get("format") != _FORMAT:
                raise ValueError(
                    f"{folder}: holds a training of another version of this program, which this "
                    "one cannot go on with; choose another folder"
                )
            self.checkpoint = found

    @staticmethod
    def checkpoint_file(folder: Path) -> Path:
        """Return the path of the checkpoint of the run in a folder."""
        return folder / "checkpoint.pt"

    def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Replace the checkpoint. A cut in the middle leaves the old one intact."""
        with atomic_write(self._file) as partial:
            torch.save({**checkpoint, "identity": self._identity, "format": _FORMAT}, partial)

    def log(self, **values: float) -> None:
        """Append one line of figures to the log.

        A figure that is not finite is left out, since JSON has no NaN: the mIoU of a validation
        without a labelled pixel.
        """
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        with (self.folder / _LOG).open("a") as file:
            file.write(json.dumps(finite) + "\n")

    def plot(self) -> None:
        """Draw every logged figure over the iterations into curves.png."""
        from matplotlib.figure import Figure

        lines = read_log(self.folder)
        names = sorted({name for line in lines for name in line} - {"iteration"})
        if not names:
            return
        figure = Figure(figsize=(7, 2.2 * len(names)), layout="constrained")
        axes = figure.subplots(len(names), 1, squeeze=False)[:, 0]
        for axis, name in zip(axes, names, strict=True):
            points = [(line["iteration"], line[name]) for line in lines if name in line]
            axis.plot([x for x, _ in points], [y for _, y in points])
            axis.set_ylabel(name)
        axes[-1].set_xlabel("iteration")
        figure.savefig(self.folder / "curves.png", dpi=100)
