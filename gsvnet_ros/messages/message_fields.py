# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What is read from messages in several places: stamps and key-value pairs."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header in ns."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def status_values(status: DiagnosticStatus) -> dict[str, str]:
    """Return the key-value pairs of a status."""
    return {pair.key: pair.value for pair in status.values}


def status_stamp_ns(values: dict[str, str]) -> int:
    """Return in ns the stamp of the image that the values of a frame's status belong to."""
    seconds, nanoseconds = values["stamp"].split(".")
    return int(seconds) * 10**9 + int(nanoseconds)
