# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Some hundred mutations of each kind of file; `scripts/fuzz_files` tries many more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fuzz_files import KINDS, MEMORY_BYTES

MAX_CPU_S = 2.0


def test_mutated_files_are_read_or_refused() -> None:
    """In a process of its own, which a crash or the limit of its memory may end."""
    script = Path(__file__).with_name("fuzz_files.py")
    done = subprocess.run(
        [sys.executable, script, "--cases", "200"], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    summaries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [summary["kind"] for summary in summaries] == list(KINDS)
    for summary in summaries:
        assert not summary["faults"], summary
        assert summary["read"] + summary["refused"] == 200, summary
        assert summary["read"] and summary["refused"], summary
        assert summary["slowest_s"] < MAX_CPU_S, summary
        assert summary["grown_bytes"] < MEMORY_BYTES, summary
