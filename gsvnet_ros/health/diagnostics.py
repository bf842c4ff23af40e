# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Diagnostic messages about every frame, every camera and the node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_msgs.msg import Header

from gsvnet_model.model import SegmentationModel
from gsvnet_model.stream.segmenter import Segmentation
from gsvnet_ros.health.frame_counts import CountsSnapshot
from gsvnet_ros.health.stream_health import HealthReport, Level
from gsvnet_ros.messages.peer_text import peer_text

LEVELS: Mapping[Level, bytes] = {
    "ok": DiagnosticStatus.OK,
    "warn": DiagnosticStatus.WARN,
    "error": DiagnosticStatus.ERROR,
    "stale": DiagnosticStatus.STALE,
}


def diagnostic_name(node: Node) -> str:
    """Return the name of a node in diagnostics, which two nodes must not share."""
    return node.get_fully_qualified_name().lstrip("/")


def frame_status(
    name: str,
    header: Header,
    segmentation: Segmentation,
    policy: Mapping[str, str],
    stage_ms: Mapping[str, float],
    counts: CountsSnapshot,
) -> DiagnosticStatus:
    """Return where the labels of one frame come from and what they cost.

    Args:
        name: name of the node and the camera.
        header: header of the image.
        segmentation: labels of the image.
        policy: name of the keyframe policy, and what it has chosen.
        stage_ms: time per stage, ms; `latency`, from stamp to publication, only where stamps and
            clock are of one time.
        counts: frame counts of the camera, this frame included.
    """
    kind = "keyframe" if segmentation.is_keyframe else "propagated"
    return _status(
        name,
        "ok",
        kind,
        {
            "stamp": f"{header.stamp.sec}.{header.stamp.nanosec:09d}",
            "frame_id": peer_text(header.frame_id, always_quoted=False),
            "is_keyframe": _text(segmentation.is_keyframe),
            "keyframe_age": str(segmentation.keyframe_age),
            "keyframe_reason": segmentation.reason,
            "keyframe_background": segmentation.background,
            "change": f"{segmentation.change:.2f}",
            "disagreement": f"{segmentation.disagreement:.2f}",
            **{
                name if name == "policy" else f"policy.{name}": text
                for name, text in policy.items()
            },
            "batch_size": str(segmentation.batch_size),
            **{f"{stage}_ms": f"{value:.2f}" for stage, value in stage_ms.items()},
            **_count_values(counts),
        },
    )


def camera_status(name: str, report: HealthReport, counts: CountsSnapshot) -> DiagnosticStatus:
    """Return the health of one camera; without latency where it is unknown."""
    values = {"rate_hz": f"{report.rate_hz:.1f}"}
    if report.latency_ms_p50 is not None and report.latency_ms_p95 is not None:
        values["latency_ms_p50"] = f"{report.latency_ms_p50:.1f}"
        values["latency_ms_p95"] = f"{report.latency_ms_p95:.1f}"
    values["keyframe_share"] = f"{report.keyframe_share:.2f}"
    return _status(name, report.level, report.message, {**values, **_count_values(counts)})


def node_status(
    name: str, state: str, fault: str, model: SegmentationModel | None
) -> DiagnosticStatus:
    """Return what the node runs on.

    Args:
        name: name of the node.
        state: lifecycle state of the node, or that it is paused.
        fault: why the node is not in the state that was asked for last; empty if it is.
        model: the weights, None while unconfigured.
    """
    values = {"state": state, "memory_mib": f"{_resident_mib():.0f}"}
    if model is not None:
        values["device"] = str(model.device)
        values["precision"] = str(model.precision).removeprefix("torch.")
        values["keyframe_network"] = peer_text(model.info.keyframe_network, always_quoted=False)
        if model.device.type == "cuda":
            # With what no tensor holds: the working memory of CUDA graphs, and the cache.
            reserved = torch.cuda.memory_reserved(model.device) / 2**20
            values["device_memory_mib"] = f"{reserved:.0f}"
    if fault:
        return _status(name, "warn", f"{state}: {fault}", values)
    return _status(name, "ok", state, values)


def _count_values(counts: CountsSnapshot) -> dict[str, str]:
    return {
        "sent": str(counts.sent),
        "served": str(counts.served),
        "waiting": str(counts.waiting),
        "dropped": str(sum(counts.dropped.values())),
        **{f"dropped.{reason}": str(number) for reason, number in sorted(counts.dropped.items())},
    }


def _status(name: str, level: Level, message: str, values: Mapping[str, str]) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=name,
        level=LEVELS[level],
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _text(value: bool) -> str:
    return "true" if value else "false"


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
