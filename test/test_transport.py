# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images of 4K and 8K between two processes, with and without the transport profiles."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsvnet_ros.health.transport import loss_cure
from gsvnet_ros.startup.shared_memory import FOLDER
from gsvnet_ros.startup.transport_profile import PROFILE_VARIABLES

CONFIG = Path(__file__).parent.parent / "config"
LIMIT_S = 240.0

RECEIVER = """
import sys, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("receiver")
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
def take(message):
    print(message.header.stamp.nanosec, flush=True)
node.create_subscription(Image, "/large", take, qos)
try:
    rclpy.spin(node)
except BaseException:
    pass
"""

SENDER = """
import os, signal, sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
width, height, number, receiver = map(int, sys.argv[1:])
rclpy.init()
node = rclpy.create_node("sender")
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, "/large", qos)
while not publisher.get_subscription_count():
    time.sleep(0.05)
time.sleep(1.0)
message = Image(height=height, width=width, step=3 * width, encoding="rgb8")
message.data.frombytes(bytes(3 * width * height))
stamp = 0
for line in sys.stdin:
    os.kill(receiver, signal.SIGSTOP)  # late by all of the images
    for _ in range(number):
        stamp += 1
        message.header.stamp.nanosec = stamp
        publisher.publish(message)
    os.kill(receiver, signal.SIGCONT)
    print(stamp, flush=True)
node.destroy_node()
rclpy.shutdown()
"""


def images_that_arrive(
    profile: Path | None, width: int, height: int, number: int, rounds: int, tmp_path: Path
) -> int:
    """Return how many of `number` images arrive at most, at a receiver that is late by as many.

    Args:
        profile: transport profile of both processes.
        width: columns of the images, in pixels.
        height: rows of the images, in pixels.
        number: images that are published at once.
        rounds: tries; another one is made until all arrive.
        tmp_path: folder for what the receiver prints.
    """
    environment = {key: text for key, text in os.environ.items() if key not in PROFILE_VARIABLES}
    if profile is not None:
        environment.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))
    log = tmp_path / "received.txt"
    with log.open("w") as output:
        receiver = subprocess.Popen(
            [sys.executable, "-c", RECEIVER], env=environment, stdout=output
        )
    numbers = [str(value) for value in (width, height, number, receiver.pid)]
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, *numbers],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sender.stdin is not None and sender.stdout is not None
    most = 0
    try:
        for _ in range(rounds):
            sender.stdin.write("\n")
            sender.stdin.flush()
            last = int(sender.stdout.readline())
            expected = set(range(last - number + 1, last + 1))
            deadline = time.monotonic() + 5.0
            while time.monotonic() < deadline and most < number:
                arrived = expected & set(map(int, log.read_text().split()))
                most = max(most, len(arrived))
                time.sleep(0.1)
            if most == number:
                break
    finally:
        sender.stdin.close()
        receiver.send_signal(signal.SIGCONT)
        receiver.send_signal(signal.SIGINT)
        assert sender.wait(LIMIT_S) == 0
        receiver.wait(LIMIT_S)
    return most


def needs_shared_memory(mib: int) -> pytest.MarkDecorator:
    """Skip a test where there is less of it."""
    free = shutil.disk_usage(FOLDER).free if FOLDER.is_dir() else 0
    return pytest.mark.skipif(free < mib * 2**20, reason=f"needs {mib} MiB of /dev/shm")


@needs_shared_memory(300)
def test_two_images_of_4k_wait_for_a_late_receiver(tmp_path: Path) -> None:
    """The queue of fragments held one."""
    profile = CONFIG / "fastdds_shm.xml"
    assert images_that_arrive(profile, 3840, 2160, 2, rounds=10, tmp_path=tmp_path) == 2


@needs_shared_memory(700)
def test_images_of_8k_have_a_profile_of_their_own(tmp_path: Path) -> None:
    profile = CONFIG / "fastdds_shm_8k.xml"
    assert images_that_arrive(profile, 7680, 4320, 1, rounds=10, tmp_path=tmp_path) == 1


SEGMENT_SCRIPT = """
import sys, time, rclpy
from sensor_msgs.msg import Image
from gsvnet_ros.health.transport import segment_bytes, sender_segment_bytes
rclpy.init()
node = rclpy.create_node("segments")
if sys.argv[1] == "camera":
    publisher = node.create_publisher(Image, "/segments", 1)
    print("ready", flush=True)
    sys.stdin.read()
else:
    while not (found := node.get_publishers_info_by_topic("/segments")):
        time.sleep(0.05)
    print(segment_bytes() // 2**20, sender_segment_bytes(found[0].endpoint_gid) // 2**20)
node.destroy_node()
rclpy.shutdown()
"""


@needs_shared_memory(300)
@pytest.mark.parametrize("node_has_profile", [True, False])
@pytest.mark.parametrize("camera_has_profile", [True, False])
def test_segments_show_who_has_a_profile(node_has_profile: bool, camera_has_profile: bool) -> None:
    def environment(has_profile: bool) -> dict[str, str]:
        plain = {key: text for key, text in os.environ.items() if key not in PROFILE_VARIABLES}
        profile = str(CONFIG / "fastdds_shm.xml")
        return {**plain, **(dict.fromkeys(PROFILE_VARIABLES, profile) if has_profile else {})}

    camera = subprocess.Popen(
        [sys.executable, "-c", SEGMENT_SCRIPT, "camera"],
        env=environment(camera_has_profile),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert camera.stdout is not None
    assert camera.stdout.readline() == "ready\n"
    node = subprocess.run(
        [sys.executable, "-c", SEGMENT_SCRIPT, "node"],
        env=environment(node_has_profile),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    camera.communicate("", LIMIT_S)
    sizes = {True: "67", False: "0"}
    assert node.stdout.split() == [sizes[node_has_profile], sizes[camera_has_profile]]


SMALL, LARGE = 549_408, 67 * 2**20


@pytest.mark.parametrize(
    ("node_bytes", "camera_bytes", "image_bytes", "override", "cure"),
    [
        (SMALL, SMALL, 0, "", "start camera and node with"),
        (SMALL, LARGE, 0, "", "this node none: start it with"),
        (LARGE, SMALL, 0, "", "the camera none: start it with"),
        (LARGE, LARGE, 99_532_800, "", "fastdds_shm_8k.xml"),
        (LARGE, LARGE, 6_000_000, "", "both have a transport profile"),
        (LARGE, LARGE, 6_000_000, "q.reliability:=reliable", "start this node with q.reliability"),
        (LARGE, 0, 0, "", "if the camera runs on this machine"),
        (0, 0, 0, "", "start camera and node with"),
    ],
)
def test_the_cure_is_nothing_that_is_done_already(
    node_bytes: int, camera_bytes: int, image_bytes: int, override: str, cure: str
) -> None:
    told = loss_cure("rmw_fastrtps_cpp", node_bytes, camera_bytes, image_bytes, override)
    assert cure in told


def test_other_middleware_has_no_profile() -> None:
    assert "PROFILES" not in loss_cure("rmw_cyclonedds_cpp", 0, 0, 0, "")
