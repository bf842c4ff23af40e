# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Simulated time that does not run: rates and silence are told all the same."""

from __future__ import annotations

import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_process import RELIABLE, START_S, Peer, image_message, scene
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from gsvnet_ros.messages.message_fields import status_values
from gsvnet_ros.tools.benchmark.nodes import start_node

PAUSED_S = 40


def test_a_simulation_that_does_not_run_or_is_paused(
    ros: None, tmp_path: Path, weights_path: Path
) -> None:
    namespace = "/simulated"
    log = tmp_path / "log.txt"
    process = start_node(
        log,
        {
            "model.weights": str(weights_path),
            "model.device": "cpu",
            "use_sim_time": True,
            "frames.max_age": 0.5,
        },
        namespace,
    )
    peer = Peer(namespace)
    arrays = peer.listen(DiagnosticArray, "/diagnostics")
    statuses = peer.listen(DiagnosticStatus, f"{peer.node_name}/status", RELIABLE)
    publisher = peer.node.create_publisher(Image, "image", 1)
    clock = peer.node.create_publisher(Clock, "/clock", 1)
    message = image_message(scene(0))

    def camera() -> DiagnosticStatus:
        found = [
            status
            for array in arrays
            for status in array.status
            if status.name == f"{namespace[1:]}/segmentation: camera"
        ]
        return found[-1] if found else DiagnosticStatus()

    def publish(stamp_ns: int) -> None:
        peer.stamp(message, stamp_ns)
        publisher.publish(message)
        peer.spin(0.1)

    def tells(text: str) -> bool:
        publish(time.time_ns())
        return text in log.read_text() and "not of one time" in camera().message

    try:
        # No /clock at all.
        peer.wait(lambda: tells("start the simulation that publishes /clock"), START_S)
        assert "when the simulated clock was at 0.000 s" in log.read_text()
        assert bytes(camera().level) == DiagnosticStatus.WARN
        assert float(status_values(camera())["rate_hz"]) > 0
        assert "latency_ms_p50" not in status_values(camera())
        assert "dropped.too_old" not in status_values(camera())
        assert "latency_ms" not in status_values(statuses[-1])
        # The camera stops: silence is told although the clock of the node does not run.
        peer.wait(lambda: bytes(camera().level) == DiagnosticStatus.STALE)
        peer.wait(lambda: "no frame on /simulated/image" in log.read_text(), START_S)

        # A paused simulation, and a camera that is none of its.
        def is_paused() -> bool:
            paused = Clock()
            paused.clock.sec = PAUSED_S
            clock.publish(paused)
            publish(time.time_ns())
            return f"the simulated clock was at {PAUSED_S}.000 s" in camera().message

        peer.wait(is_paused, START_S)
        # What is stamped by the same clock fits, and the latency is told again.
        stamps = iter(range(PAUSED_S * 10**9 - 400_000_000, 10**15, 1_000_000))

        def fits() -> bool:
            publish(next(stamps))
            is_told = "one time again" in log.read_text()
            return is_told and "latency_ms_p50" in status_values(camera())

        peer.wait(fits, START_S)
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()
    told = log.read_text()
    assert told.count("stamps and clock are not of one time") == 1
