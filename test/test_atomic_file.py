# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A file is there as a whole, or as it was before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gsvnet_model.checkpoint.atomic_file import atomic_write


def test_a_cut_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.npz"
    with atomic_write(path) as partial:
        np.savez(partial, values=np.arange(3))
        assert not path.exists()
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as partial:
        partial.write_bytes(b"half of it")
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    with np.load(path) as stored:
        assert stored["values"].tolist() == [0, 1, 2]


@pytest.fixture(params=[0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask for the time of a test."""
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def test_who_may_read_it_is_what_the_umask_says(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "table.npz"
    with atomic_write(path) as partial:
        # As a library does that writes another file and renames it.
        other = partial.with_name("other")
        other.write_bytes(b"")
        other.chmod(0o644)
        other.replace(partial)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the folder could have the file written elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    path = tmp_path / "shared" / "table.npz"
    path.parent.mkdir()
    (path.parent / "table.partial.npz").symlink_to(victim)
    path.symlink_to(victim)
    with atomic_write(path) as partial:
        partial.write_text("new")
    assert victim.read_text() == "kept"
    assert path.read_text() == "new"
    assert not path.is_symlink()
    assert (path.parent / "table.partial.npz").is_symlink()
