# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The stretch of street around the camera, in one system of axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from street_drive.path import CHUNK_M, STEP_M
from street_drive.surface import Pieces
from street_drive.world import Chunk

CHUNKS_BEHIND, CHUNKS_AHEAD = 1, 6


@dataclass(frozen=True)
class Window:
    """Some chunks in a row; the world's origin is the first node of the chunk of the camera.

    Attributes:
        first_m: distance along the street of the first node.
        positions: (n, 2) float64 metres; nodes are STEP_M apart.
        headings: (n,) float64 radians.
        section: (2, n, 9) float32, see section.EDGES.
        standing: everything that does not move.
    """

    first_m: float
    positions: NDArray[np.float64]
    headings: NDArray[np.float64]
    section: NDArray[np.float32]
    standing: Pieces

    def pose(self, s: float, d: float) -> tuple[float, float, float]:
        """Returns x, y and heading at distance s along the street, d metres right of its line."""
        at = (s - self.first_m) / STEP_M
        k = int(np.clip(np.floor(at), 0, len(self.headings) - 2))
        x, y = self.positions[k] + (at - k) * (self.positions[k + 1] - self.positions[k])
        h = float(self.headings[k] + (at - k) * (self.headings[k + 1] - self.headings[k]))
        return float(x + d * np.sin(h)), float(y - d * np.cos(h)), h

    def street_coordinates(
        self, x: NDArray[np.float64], y: NDArray[np.float64], guess_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the distance s along the street and d to its right of points on the ground.

        Args:
            x: metres.
            y: metres, of the same shape.
            guess_m: first guesses of s, of the same shape.
        """
        last = len(self.headings) - 1
        s, d = guess_m, np.zeros_like(x)
        for _ in range(4):
            at = np.clip((s - self.first_m) / STEP_M, 0.0, last - 1e-6)
            k = at.astype(np.int64)
            part = at - k
            h = self.headings[k] + part * (self.headings[k + 1] - self.headings[k])
            px, py = np.moveaxis(
                self.positions[k]
                + part[..., None] * (self.positions[k + 1] - self.positions[k]), -1, 0
            )  # fmt: skip
            c, sn = np.cos(h), np.sin(h)
            ahead = (x - px) * c + (y - py) * sn
            d = (x - px) * sn - (y - py) * c
            s = self.first_m + at * STEP_M + np.clip(ahead, -30.0, 300.0)
        return s, d


def make_window(number: int, chunks: list[Chunk], standing: Pieces) -> Window:
    """Joins chunks number - CHUNKS_BEHIND to number + CHUNKS_AHEAD.

    Args:
        number: number of the chunk that the camera is in.
        chunks: the chunks in order.
        standing: pieces of the chunks, already in the window's axes.
    """
    starts = chunk_starts(chunks)
    positions = [c.positions[:-1] + start for c, start in zip(chunks, starts, strict=True)]
    return Window(
        first_m=(number - CHUNKS_BEHIND) * CHUNK_M,
        positions=np.concatenate(positions),
        headings=np.concatenate([c.headings[:-1] for c in chunks]),
        section=np.concatenate([c.section for c in chunks], axis=1),
        standing=standing,
    )


def chunk_starts(chunks: list[Chunk]) -> list[NDArray[np.float64]]:
    """Returns where each chunk's first node lies, (2,) each, seen from chunk CHUNKS_BEHIND."""
    ends = [np.zeros(2)]
    for chunk in chunks:
        ends.append(ends[-1] + chunk.positions[-1])
    return [end - ends[CHUNKS_BEHIND] for end in ends[:-1]]
