# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Damaged inputs of many kinds, read in a process of its own under limits of time and memory.

Every file `fuzz_kinds_*.py` beside this one has a list `KINDS`. `test_fuzz.py` tries some hundred
inputs of each kind, `scripts/fuzz` many more. An input is made from the seed and its number alone,
so that one that fails can be tried again.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent

MEMORY_MIB = 300
"""What reading an input may take, above what the process has before."""

_ADDRESS_SPACE_MIB = 4096
"""Above what the process has: ends what would take all memory of the machine."""

_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")


@dataclass(frozen=True)
class FuzzKind:
    """Inputs of one kind, and what reads them.

    Attributes:
        name: of the kind.
        make: makes a damaged input from random numbers.
        read: what is tried; returns or raises one of `refusals`, whatever the input.
        refusals: exceptions that say what is wrong with an input.
    """

    name: str
    make: Callable[[np.random.Generator], Any]
    read: Callable[[Any], object]
    refusals: tuple[type[Exception], ...]


@dataclass(frozen=True)
class FuzzReport:
    """What became of the inputs of one kind.

    Attributes:
        num_read: inputs that were read.
        num_refused: inputs that were refused.
        slowest_s: longest time that one took.
        slowest: its number.
        memory_mib: what they took at most, above what the process had before.
    """

    num_read: int
    num_refused: int
    slowest_s: float
    slowest: int
    memory_mib: int


def kinds() -> dict[str, FuzzKind]:
    """Return all kinds by name."""
    modules = [
        importlib.import_module(path.stem) for path in sorted(FOLDER.glob("fuzz_kinds_*.py"))
    ]
    return {kind.name: kind for module in modules for kind in module.KINDS}


def fuzz(kind: str, num_cases: int, seed: int, limit_s: float, first: int = 0) -> FuzzReport:
    """Read damaged inputs of a kind in a process of its own.

    Args:
        kind: name of the kind.
        num_cases: number of inputs.
        seed: of all inputs.
        limit_s: longest time for one input.
        first: number of the first input.

    Raises:
        AssertionError: if the process crashes, hangs, takes too much memory or raises what is no
            refusal; says with which input.
    """
    command = [sys.executable, str(FOLDER / "fuzzing.py"), "--in-this-process", kind]
    command += ["--cases", str(num_cases), "--seed", str(seed), "--limit", str(limit_s)]
    command += ["--first", str(first)]
    # Messages check what is assigned to them: a wrong type or range would pass unseen.
    environment = {**os.environ, "ROS_PYTHON_CHECK_FIELDS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines() or ["before the first input"]
    assert done.returncode == 0, (
        f"{kind}, {lines[-1]}, ended with {done.returncode}:\n{done.stderr[-3000:]}\n"
        f"again: scripts/fuzz {kind} --seed {seed} --cases 1 --first NUMBER"
    )
    *numbers, memory_mib = lines[-1].split()
    num_read, num_refused, slowest_s, slowest = numbers
    return FuzzReport(
        int(num_read), int(num_refused), float(slowest_s), int(slowest), int(memory_mib)
    )


def _fuzz_here(kind: FuzzKind, num_cases: int, seed: int, limit_s: float, first: int) -> FuzzReport:
    """Read damaged inputs of a kind in this process, which ends at the first failure."""
    # What is loaded on first use, and samples that are made once, are not counted.
    _try(kind, kind.make(np.random.default_rng(0)), limit_s)
    before_mib = _peak_mib()
    limit = _address_space_bytes() + (_ADDRESS_SPACE_MIB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    num_read = slowest = 0
    slowest_s = 0.0
    for number in range(first, first + num_cases):
        print(f"input {number}", flush=True)
        case = kind.make(np.random.default_rng([seed, number]))
        begun_s = time.perf_counter()
        num_read += _try(kind, case, limit_s)
        took_s = time.perf_counter() - begun_s
        if took_s > slowest_s:
            slowest_s, slowest = took_s, number
        memory_mib = _peak_mib() - before_mib
        assert memory_mib <= MEMORY_MIB, f"took {memory_mib} MiB, expected {MEMORY_MIB}"
    return FuzzReport(num_read, num_cases - num_read, slowest_s, slowest, _peak_mib() - before_mib)


def _try(kind: FuzzKind, case: object, limit_s: float) -> bool:
    # Ends the process from a thread of its own, also while a decoder does not return.
    faulthandler.dump_traceback_later(limit_s, exit=True)
    try:
        kind.read(case)
    except kind.refusals as error:
        assert len(str(error)) < 2000, f"a reason of {len(str(error))} characters"
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()
    return True


def _peak_mib() -> int:
    # Not getrusage's: that begins with the peak of the process that started this one.
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) // 1024


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def damaged(sample: bytes, random: np.random.Generator) -> bytes:
    """Return bytes that are overwritten, cut, repeated, moved or made longer in some places."""
    data = bytearray(sample)
    for _ in range(int(random.integers(1, 6))):
        at, until = sorted(int(n) for n in random.integers(0, len(data) + 1, 2))
        until = min(until, at + int(random.choice([1, 4, 64, 4096])))
        what = int(random.integers(6))
        if what == 0:
            data[at:until] = random.bytes(until - at)
        elif what == 1:
            data[at : at + 4] = random.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"]
            )
        elif what == 2:
            del data[at:until]
        elif what == 3:
            data[at:at] = data[at:until] * int(random.choice([1, 2, 200]))
        elif what == 4:
            data = data[:at]
        elif at < len(data):
            data[at] ^= 1 << int(random.integers(8))
    return bytes(data)


def main() -> int:
    """Fuzz the kinds that are named; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Reads damaged inputs.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="all, if none is named")
    parser.add_argument("--cases", type=int, default=10_000, help="inputs per kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one input")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    known = kinds()
    if unknown := set(given.kinds) - set(known):
        parser.error(f"expected kinds of {', '.join(known)}, got {', '.join(unknown)}")
    if given.in_this_process:
        (name,) = given.kinds
        report = _fuzz_here(known[name], given.cases, given.seed, given.limit, given.first)
        print(*vars(report).values())
        return 0
    failed = False
    for name in given.kinds or known:
        try:
            report = fuzz(name, given.cases, given.seed, given.limit, given.first)
        except AssertionError as error:
            failed = True
            print(f"{name}: failed: {error}", flush=True)
            continue
        print(
            f"{name}: {report.num_read} read, {report.num_refused} refused; slowest "
            f"{report.slowest_s:.2f} s (input {report.slowest}); {report.memory_mib} MiB",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
