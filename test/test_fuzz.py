# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Damaged inputs are read or refused: none crashes, hangs, or takes all memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fuzzing import FOLDER, fuzz, kinds

NUM_CASES = 300

LIMIT_S = 60.0
"""Far above what one takes on a busy machine: it tells what hangs."""

PLANTED = """
import os, sys, time
import numpy as np
sys.path.insert(0, {folder!r})
import fuzzing
kept = []
def read(case):
    {act}
kind = fuzzing.FuzzKind("planted", lambda random: random.bytes(1), read, (ValueError,))
fuzzing._fuzz_here(kind, 3, 0, 2.0, 0)
"""


@pytest.mark.parametrize("kind", kinds())
def test_damaged_inputs_are_read_or_refused(kind: str) -> None:
    report = fuzz(kind, NUM_CASES, seed=1, limit_s=LIMIT_S)
    # A kind of which all are refused, or none, tests one thing.
    assert report.num_read > 0
    assert report.num_refused > 0


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("raise KeyError('a fault')", "KeyError: 'a fault'"),
        ("os.abort()", ""),
        ("time.sleep(3600)", "Timeout"),
        # What the first one takes, before they are counted, is not counted.
        ("kept.append(np.ones(350 << 20 if len(kept) == 1 else 1, np.uint8))", "took 35"),
        ("raise ValueError('x' * 5000)", "a reason of 5000 characters"),
    ],
)
def test_a_fault_is_noticed(act: str, told: str) -> None:
    code = PLANTED.format(folder=str(FOLDER), act=act)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    assert told in done.stderr
