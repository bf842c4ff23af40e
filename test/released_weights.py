# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Deterministic weights under the released names, and the outputs that belong to them."""

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_REPOSITORY = Path(__file__).resolve().parent.parent


def parity_folder() -> Path:
    """Return the folder with networks.json and expected.npz.

    ``GSVNET_PARITY`` names it; else it is ../shared/parity beside the repository, else the copy
    in test/parity.
    """
    if "GSVNET_PARITY" in os.environ:
        return Path(os.environ["GSVNET_PARITY"])
    shared = _REPOSITORY.parent / "shared" / "parity"
    return shared if shared.is_dir() else _REPOSITORY / "test" / "parity"


def expected_outputs() -> dict[str, Tensor]:
    """Return the arrays that the released implementation gave for these weights."""
    with np.load(parity_folder() / "expected.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def published_tensors(network: str) -> dict[str, Tensor]:
    """Make the tensors of one released network, by the rule of the parity data."""
    description = json.loads((parity_folder() / "networks.json").read_text())
    return {
        entry["name"]: _tensor(entry, description["seed"])
        for entry in description["networks"][network]
    }


def _tensor(entry: dict[str, Any], seed: int) -> Tensor:
    name, shape = entry["name"], entry["shape"]
    if "fixed" in entry:
        return torch.tensor(entry["fixed"], dtype=torch.float32).reshape(shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = generator.standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        values *= np.float32(math.sqrt(2 / math.prod(shape[1:])))
    elif name.endswith("running_var"):
        values = np.exp(np.float32(0.1) * values)
    elif name.endswith("weight"):
        values = 1 + np.float32(0.1) * values
    else:
        values = np.float32(0.1) * values
    return torch.from_numpy(values)
