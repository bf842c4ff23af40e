# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A picture sheet: one row per frame, input | labels | confidence, with the legend below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.outputs.overlay import colorize

CELL_WIDTH_PX = 480
"""Width of one picture on the sheet."""

Colour = tuple[int, int, int]

_BACKGROUND: Colour = (250, 250, 250)
_INK: Colour = (38, 42, 48)
_FAINT: Colour = (120, 126, 134)
_KEYFRAME: Colour = (226, 112, 30)
_GAP_PX = 10
_MARGIN_PX = 24
_HEADER_PX = 74
_CAPTION_PX = 122
_LEGEND_ROW_PX = 30
_SWATCH_PX = 18
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class SheetRow:
    """One frame on the sheet.

    Attributes:
        caption: short text beside the row, such as the number of the frame.
        keyframe_age: frames since the keyframe, 0 on a keyframe, None if unknown.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids.
        confidence: (H, W) uint8, floor(255 * probability of the label).
        truth: (H, W) uint8 exact labels, 255 = void, or None where there are none.
    """

    caption: str
    keyframe_age: int | None
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None = None


def draw_picture_sheet(
    title: str, subtitle: str, rows: Sequence[SheetRow], classes: ClassTable
) -> NDArray[np.uint8]:
    """Draw the sheet.

    Args:
        title: first line.
        subtitle: second line, smaller.
        rows: the frames, from top to bottom. A column with the exact labels is added where
            a row has them.
        classes: names and colours of the class ids.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("expected at least one row, got none")
    columns = ["input", "labels", "confidence"]
    if any(row.truth is not None for row in rows):
        columns.append("exact labels")
    cell_height = round(CELL_WIDTH_PX * rows[0].image.shape[0] / rows[0].image.shape[1])
    width = 2 * _MARGIN_PX + _CAPTION_PX + len(columns) * (CELL_WIDTH_PX + _GAP_PX) - _GAP_PX
    legend = _legend(classes, width - 2 * _MARGIN_PX)
    top = _HEADER_PX + _MARGIN_PX
    height = top + len(rows) * (cell_height + _GAP_PX) + _GAP_PX + len(legend) + _MARGIN_PX
    sheet = np.full((height, width, 3), _BACKGROUND, np.uint8)

    _write(sheet, title, (_MARGIN_PX, 38), 0.9, _INK, 2)
    _write(sheet, subtitle, (_MARGIN_PX, 64), 0.5, _FAINT)
    left = _MARGIN_PX + _CAPTION_PX
    for number, column in enumerate(columns):
        x = left + number * (CELL_WIDTH_PX + _GAP_PX)
        _write(sheet, column, (x, top - 8), 0.5, _FAINT)
    for row in rows:
        _draw_row(sheet, row, top, cell_height, classes)
        top += cell_height + _GAP_PX
    top += _GAP_PX
    sheet[top : top + len(legend), _MARGIN_PX : width - _MARGIN_PX] = legend
    return sheet


def _draw_row(
    sheet: NDArray[np.uint8], row: SheetRow, top: int, cell_height: int, classes: ClassTable
) -> None:
    palette = classes.palette_array()
    cells = [
        row.image,
        colorize(row.labels, palette),
        _heat(row.confidence),
    ]
    if row.truth is not None:
        cells.append(colorize(row.truth, palette))
    left = _MARGIN_PX + _CAPTION_PX
    for cell in cells:
        size = (CELL_WIDTH_PX, cell_height)
        shrinks = cell.shape[1] > CELL_WIDTH_PX
        sheet[top : top + cell_height, left : left + CELL_WIDTH_PX] = cv2.resize(
            cell, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        left += CELL_WIDTH_PX + _GAP_PX
    _write(sheet, row.caption, (_MARGIN_PX, top + 22), 0.5, _INK)
    if row.keyframe_age == 0:
        badge = (_MARGIN_PX, top + 34), (_MARGIN_PX + 96, top + 60)
        cv2.rectangle(sheet, *badge, _KEYFRAME, cv2.FILLED)
        _write(sheet, "KEYFRAME", (_MARGIN_PX + 8, top + 52), 0.45, _BACKGROUND)
        edge = _MARGIN_PX + _CAPTION_PX - 6
        cv2.rectangle(sheet, (edge - 4, top), (edge, top + cell_height - 1), _KEYFRAME, cv2.FILLED)
    elif row.keyframe_age is not None:
        _write(sheet, f"keyframe + {row.keyframe_age}", (_MARGIN_PX, top + 52), 0.45, _FAINT)


def _legend(classes: ClassTable, width: int) -> NDArray[np.uint8]:
    """Draw the classes with their colours in as many lines as they need, then the heat scale."""
    entries = [*zip(classes.names, classes.palette, strict=True), ("unlabeled", (0, 0, 0))]
    places: list[tuple[int, int]] = []
    x, line = 0, 0
    for name, _ in entries:
        entry_width = _SWATCH_PX + 10 + _text_width(name, 0.5) + 22
        if x + entry_width > width:
            x, line = 0, line + 1
        places.append((x, line))
        x += entry_width
    legend = np.full(((line + 2) * _LEGEND_ROW_PX, width, 3), _BACKGROUND, np.uint8)
    for (name, colour), (x, line) in zip(entries, places, strict=True):
        top = line * _LEGEND_ROW_PX + 6
        cv2.rectangle(legend, (x, top), (x + _SWATCH_PX, top + _SWATCH_PX), colour, cv2.FILLED)
        _write(legend, name, (x + _SWATCH_PX + 8, top + 14), 0.5, _INK)
    top = len(legend) - _LEGEND_ROW_PX + 6
    scale = np.tile(np.arange(256, dtype=np.uint8), (_SWATCH_PX, 1))
    _write(legend, "confidence", (0, top + 14), 0.5, _INK)
    left = _text_width("confidence", 0.5) + 14
    _write(legend, "0", (left, top + 14), 0.5, _FAINT)
    left += 16
    legend[top : top + _SWATCH_PX, left : left + 256] = _heat(scale)
    _write(legend, "1", (left + 264, top + 14), 0.5, _FAINT)
    return legend


def _heat(confidence: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) confidences as RGB, dark where the network is unsure."""
    bgr = cv2.applyColorMap(confidence, cv2.COLORMAP_VIRIDIS)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])


def _write(
    picture: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    scale: float,
    colour: Colour,
    thickness: int = 1,
) -> None:
    cv2.putText(picture, text, origin, _FONT, scale, colour, thickness, cv2.LINE_AA)
