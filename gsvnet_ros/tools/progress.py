# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The progress line of the demo."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np

_TERMINAL_PERIOD_S = 0.5
_FILE_PERIOD_S = 5.0


class ProgressLine:
    """One line that is renewed in a terminal, and repeated now and then in a file."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._period_s = _TERMINAL_PERIOD_S if self._is_terminal else _FILE_PERIOD_S
        self._next_s = time.monotonic()
        self._started_s: float | None = None
        self._text = ""
        self._printed = ""

    def show(
        self,
        published: int,
        labelled: int,
        latencies_ms: Sequence[float],
        received_ns: Sequence[int],
        keyframes: int,
    ) -> None:
        """Show the state if the last line is old enough.

        Args:
            published: frames so far.
            labelled: masks so far.
            latencies_ms: of the masks of the last seconds.
            received_ns: times of receipt of the same masks.
            keyframes: number of keyframes among them.
        """
        now_s = time.monotonic()
        if published and self._started_s is None:
            self._started_s = now_s
        if not published:
            self._text = "waiting for the node"
        else:
            elapsed_s = now_s - (self._started_s or now_s)
            self._text = f"{elapsed_s:5.1f} s  published {published}  labelled {labelled}"
            if len(received_ns) > 1:
                span_s = 1e-9 * (max(received_ns) - min(received_ns))
                rate_hz = (len(received_ns) - 1) / max(span_s, 1e-3)
                median, p95 = np.percentile(latencies_ms, [50, 95])
                self._text += (
                    f"  {rate_hz:.1f} Hz  latency {median:.0f} ms (p95 {p95:.0f})"
                    f"  keyframes {100 * keyframes / len(received_ns):.0f} %"
                )
        if now_s >= self._next_s and self._text != self._printed:
            self._next_s = now_s + self._period_s
            self._print("\r" if self._is_terminal else "\n")

    def end(self) -> None:
        """Show the last state and end the line."""
        self._print("\n")

    def _print(self, end: str) -> None:
        clear = "\x1b[2K" if self._is_terminal else ""
        print(f"{clear}  {self._text}", end=end, flush=True)
        self._printed = self._text
