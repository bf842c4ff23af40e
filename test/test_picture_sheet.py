# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The picture sheet holds what it is given, where it belongs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_lab.reporting.picture_sheet import CELL_WIDTH_PX, SheetRow, draw_picture_sheet
from gsvnet_model.outputs.classes import CAMVID

KEYFRAME_COLOUR = (226, 112, 30)

ROW = SheetRow(
    "frame 0",
    0,
    np.full((120, 160, 3), (10, 200, 30), np.uint8),
    np.full((120, 160), 8, np.uint8),
    np.full((120, 160), 255, np.uint8),
)


def count(sheet: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=-1).sum())


def test_cardinality() -> None:
    one = draw_picture_sheet("title", "", [ROW], CAMVID)
    two = draw_picture_sheet("title", "", [ROW, ROW], CAMVID)
    with_truth = draw_picture_sheet("title", "", [replace(ROW, truth=ROW.labels)], CAMVID)
    cell = CELL_WIDTH_PX * CELL_WIDTH_PX * 3 // 4
    assert count(one, (10, 200, 30)) == cell
    assert count(two, (10, 200, 30)) == 2 * cell
    car = CAMVID.palette[8]
    assert cell < count(one, car) < 1.1 * cell  # and the legend
    assert 2 * cell < count(with_truth, car) < 2.1 * cell
    assert with_truth.shape[1] > one.shape[1]


def test_keyframes_are_marked() -> None:
    keyframe = draw_picture_sheet("title", "", [ROW], CAMVID)
    propagated = draw_picture_sheet("title", "", [replace(ROW, keyframe_age=3)], CAMVID)
    assert count(keyframe, KEYFRAME_COLOUR) > 1000
    assert count(propagated, KEYFRAME_COLOUR) == 0


def test_legend_names_all_classes() -> None:
    sheet = draw_picture_sheet("title", "", [ROW], CAMVID)
    for colour in CAMVID.palette:
        assert count(sheet, colour) >= 100


def test_exception() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        draw_picture_sheet("title", "", [], CAMVID)
