# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Labels and confidences as PNG files, one per frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.checkpoint.atomic_file import atomic_write

LABELS, CONFIDENCE = "labels", "confidence"


class LabelFolder:
    """The folders `labels` and `confidence`: NNNNNN.png by the number of the frame.

    Args:
        output: folder that they are made in.
        with_confidence: whether confidences are written as well.

    Raises:
        OSError: if the folders cannot be made.
    """

    def __init__(self, output: Path, with_confidence: bool = True) -> None:
        self._output = output
        self._with_confidence = with_confidence
        for name in (LABELS, CONFIDENCE)[: 1 + with_confidence]:
            (output / name).mkdir(parents=True, exist_ok=True)

    def write(self, number: int, labels: NDArray[np.uint8], confidence: NDArray[np.uint8]) -> None:
        """Write the images of a frame. Under its name there is a whole file or none.

        Args:
            number: of the frame in its source.
            labels: (H, W) uint8 class ids.
            confidence: (H, W) uint8, probability of the label times 255.

        Raises:
            OSError: if they cannot be written.
        """
        # Labels last: where they are, the frame is done.
        if self._with_confidence:
            _write_png(self._output / CONFIDENCE / f"{number:06d}.png", confidence)
        _write_png(self._output / LABELS / f"{number:06d}.png", labels)


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    _, png = cv2.imencode(".png", image)
    with atomic_write(path) as partial:
        partial.write_bytes(png.tobytes())
