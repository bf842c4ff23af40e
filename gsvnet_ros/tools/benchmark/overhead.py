# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What the node adds to the library: against a relay without networks, in one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gsvnet_ros.tools.benchmark.nodes import running, start_node, start_relay

_PAUSE_S = 0.02
"""Between the exchanges, so that one does not run into the other's last words."""


@dataclass(frozen=True)
class OverheadFigures:
    """Times from the stamp of an image until mask and confidence were received, ms.

    Attributes:
        relay_ms: of the relay, median.
        relay_p95_ms: of the relay.
        node_ms: of the node, median.
        step_ms: of the library in the node, median.
        added_ms: node less library, median over the frames.
        added_p95_ms: the same, 95th percentile.
        ratio: `added_ms / relay_ms`.
    """

    relay_ms: float
    relay_p95_ms: float
    node_ms: float
    step_ms: float
    added_ms: float
    added_p95_ms: float
    ratio: float


def measure_overhead(
    images: Sequence[NDArray[np.uint8]],
    count: int,
    parameters: Mapping[str, object],
    logs: Path,
) -> OverheadFigures:
    """Send every image to the relay and to the node in turn.

    Args:
        images: (H, W, 3) uint8 RGB, sent over and over.
        count: exchanges with each.
        parameters: of the node.
        logs: folder for the output of the processes.
    """
    with running(start_node(logs / "node.log", parameters), start_relay(logs)) as probe:
        relay = probe.add_camera("/relay_image", "/relay", has_status=False)
        node = probe.add_camera("/image", "/segmentation")
        probe.connect([relay, node], images[0])
        relay_ms, node_ms, step_ms = [], [], []
        for index in range(count):
            image = images[index % len(images)]
            relay_ms.append(probe.exchange(relay, image).latency_ms)
            probe.spin(_PAUSE_S)
            answer = probe.exchange(node, image)
            probe.spin(_PAUSE_S)
            assert answer.status is not None
            node_ms.append(answer.latency_ms)
            step_ms.append(float(answer.status["step_ms"]))
    added = np.subtract(node_ms, step_ms)
    return OverheadFigures(
        relay_ms=float(np.median(relay_ms)),
        relay_p95_ms=float(np.percentile(relay_ms, 95)),
        node_ms=float(np.median(node_ms)),
        step_ms=float(np.median(step_ms)),
        added_ms=float(np.median(added)),
        added_p95_ms=float(np.percentile(added, 95)),
        ratio=float(np.median(added) / np.median(relay_ms)),
    )
