# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A look at a few label files of a data set before it is used: do they count classes as we do?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import IGNORE_INDEX
from gsvnet_offline.sources.label_png import read_labels

_NUM_FILES = 20

_CAMVID_SHARES = np.array(
    [0.1685, 0.2326, 0.0098, 0.3166, 0.0449, 0.0972, 0.0117, 0.0113, 0.0587, 0.0064, 0.0029]
)
"""Of the labelled pixels of CamVid's training images, by class."""

_ALIKE, _UNLIKE = 0.5, 1.0
"""Divergence from CamVid's shares, nats. Any five images in a row of its clips have 0.05 to 0.27,
and 1.3 to 2.1 when every id is one too high."""


def check_label_ids(files: Sequence[Path], num_classes: int) -> None:
    """Refuse labels in which 0 is void and the classes are counted from 1.

    The id after the last class is void in some data sets, and the last class in those that count
    from 1. Where it occurs and 255 does not, the shares of CamVid's classes tell which; of other
    classes nothing does, and a warning says what is taken for granted.

    Args:
        files: label files of a split, of which 20 are read.
        num_classes: ids below it are classes.

    Raises:
        ValueError: if the ids are certainly one too high.
    """
    step = max(1, len(files) // _NUM_FILES)
    counts = sum(
        (np.bincount(read_labels(path).ravel(), minlength=256) for path in files[::step]),
        np.zeros(256, np.int64),
    )
    if not counts[num_classes] or counts[IGNORE_INDEX] or counts[num_classes + 1 :].any():
        return  # foreign ids are refused where they are read, by the name of their file
    if num_classes == len(_CAMVID_SHARES):
        as_they_are = _divergence(counts[:num_classes])
        if as_they_are < _ALIKE:
            return
        if as_they_are > _UNLIKE and _divergence(counts[1 : num_classes + 1]) < _ALIKE:
            raise ValueError(
                f"{files[0].parent}: expected class ids from 0 on, got labels in which 0 seems to "
                f"be void and the classes are 1 to {num_classes}; subtract 1 from every id, so "
                f"that void becomes {IGNORE_INDEX}"
            )
    warnings.warn(
        f"{files[0].parent}: id {num_classes} is taken for void, as 255 does not occur; if 0 is "
        f"void there and {num_classes} the last class, subtract 1 from every id",
        RuntimeWarning,
        stacklevel=3,
    )


def _divergence(counts: NDArray[np.int64]) -> float:
    """Return the Kullback-Leibler divergence of shares of pixels from CamVid's, nats."""
    if not counts.any():
        return float("inf")
    shares = (counts + 1) / (counts + 1).sum()
    return float((shares * np.log(shares / _CAMVID_SHARES)).sum())
