# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The table of frames: which file or moment a label image belongs to, and what became of it."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType

from gsvnet_model.stream.segmenter import Segmentation
from gsvnet_offline.names import printable_name
from gsvnet_offline.sources import Frame, UnreadableFrame

COLUMNS = (
    "index",
    "source_name",
    "stamp_s",
    "keyframe",
    "age",
    "reason",
    "mean_confidence",
    "status",
)

LABELLED = "labelled"


class FrameTable:
    """A CSV file with a row per frame; use it in a `with` statement.

    Its columns: `index`, number of the frame in the source and name of its label image;
    `source_name`, the file that the image comes from; `stamp_s`, its time stamp in the source in
    seconds, empty where there is none; `keyframe`, 1 or 0; `age`, frames since the keyframe;
    `reason`, why it is a keyframe; `mean_confidence`, 0 to 1; `status`, "labelled" or why there
    are no labels. Frames in a row that the source lacks share one row.

    Args:
        path: of the file; there must be none yet.

    Raises:
        OSError: if there is such a file, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        # Written row by row, so that a killed run leaves the rows of what was done.
        self._file = path.open("x", buffering=1, encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def __enter__(self) -> FrameTable:
        """Return the table."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def add_labelled(self, frame: Frame, step: Segmentation) -> None:
        """Add a row for a frame with labels.

        Args:
            frame: of the source.
            step: what the stream said about it.

        Raises:
            OSError: if it cannot be written.
        """
        self._rows.writerow(
            (
                *_place(frame),
                int(step.is_keyframe),
                step.keyframe_age,
                step.reason,
                f"{step.confidence.mean() / 255:.4f}",
                LABELLED,
            )
        )

    def add_unlabelled(self, frame: UnreadableFrame) -> None:
        """Add a row for frames without labels.

        Args:
            frame: the frame or frames, with the reason.

        Raises:
            OSError: if it cannot be written.
        """
        rest = f"{frame.count} frames from here on: " if frame.count > 1 else ""
        self._rows.writerow((*_place(frame), "", "", "", "", f"{rest}{frame.reason}"))


def _place(frame: Frame | UnreadableFrame) -> tuple[int, str, str]:
    stamp = "" if frame.stamp_s is None else f"{frame.stamp_s:.6f}"
    return frame.number, printable_name(frame.name), stamp
