# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The edge map: where the propagated labels change."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

EdgeKind = Literal["binary", "sigmoid", "none"]
EDGE_KINDS: tuple[EdgeKind, ...] = get_args(EdgeKind)


def label_laplacian(labels: Tensor) -> Tensor:
    """Apply the 8-neighbour Laplacian (eight +1, centre -8) to class indices.

    The indices are numbers here, not names: three classes around a corner can cancel out, and
    the zeros outside make the border an edge wherever the class is not 0. The released weights
    were trained on exactly this.

    Args:
        labels: Class indices (N, h, w), integer.

    Returns:
        Response (N, h, w), int32.

    Convention:
        zeros outside the map.
    """
    padded = F.pad(labels.to(torch.int32), (1, 1, 1, 1))
    columns = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    boxes = columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]
    return boxes - 9 * padded[:, 1:-1, 1:-1]


def edge_map(labels: Tensor, kind: Literal["binary", "sigmoid"]) -> Tensor:
    """Mark the boundaries in a map of class indices.

    See: paper Sec. 3 (edge map). The paper takes the sigmoid of the Laplacian; the released
    implementation, followed by ``binary``, marks every non-zero response with 1.

    Args:
        labels: Class indices (N, h, w), integer.
        kind: ``binary`` or the paper's ``sigmoid`` (0.5 where there is no edge).

    Returns:
        Edge map (N, 1, h, w) in [0, 1], float32.

    Convention:
        see `label_laplacian`; the map is aligned with the labels cell by cell.
    """
    response = label_laplacian(labels)[:, None]
    return (response != 0 if kind == "binary" else response.sigmoid()).float()
