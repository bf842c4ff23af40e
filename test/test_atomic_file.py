# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A file is there as a whole, or as it was before."""

from __future__ import annotations

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
