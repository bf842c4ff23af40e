# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Class tables."""

from __future__ import annotations

import numpy as np
import pytest

from gsvnet_model import CAMVID, CITYSCAPES, IGNORE_INDEX, ClassTable
from gsvnet_model.outputs.classes import MAX_CLASSES


def test_published_tables() -> None:
    assert (CAMVID.num_classes, CITYSCAPES.num_classes) == (11, 19)
    assert CAMVID.names[8] == "car"
    assert tuple(CAMVID.palette_array()[3]) == (128, 64, 128)
    assert not CAMVID.palette_array()[[11, IGNORE_INDEX]].any()


def test_numbered_colours_differ() -> None:
    table = ClassTable.numbered(60)
    assert len(np.unique(table.palette_array()[:60], axis=0)) == 60


@pytest.mark.parametrize(
    ("names", "palette"),
    [
        ((), ()),
        (("a",) * (MAX_CLASSES + 1), ((0, 0, 0),) * (MAX_CLASSES + 1)),
        (("a", "b"), ((0, 0, 0),)),
        (("a",), ((0, 0, 256),)),
    ],
)
def test_exception(names: tuple[str, ...], palette: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ClassTable(names, palette)
