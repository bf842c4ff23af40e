# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""States of the node: bad weights, bad starts, pauses, and a clean end."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException
from ros_process import START_S, CameraPeer, Peer, image_message, pixels_of, scene
from rosgraph_msgs.msg import Clock
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sensor_msgs.msg import CompressedImage, Image

from gsvnet_model.checkpoint import load_model, read_networks, save_model
from gsvnet_model.stream.segmenter import VideoSegmenter
from gsvnet_ros.messages.message_fields import stamp_ns, status_values
from gsvnet_ros.startup.interruption import until_shutdown
from gsvnet_ros.startup.processes import LoggedProcess, ros_arguments
from gsvnet_ros.startup.shared_memory import remove_dead_segments, segments
from gsvnet_ros.tools.benchmark.nodes import start_node

MANAGED = "/managed"
"""Namespace of a node that waits for a lifecycle manager."""


@pytest.fixture(scope="module")
def managed(
    ros: None, tmp_path_factory: pytest.TempPathFactory, weights_path: Path
) -> Iterator[LoggedProcess]:
    """A node that waits to be configured."""
    process = start_node(
        tmp_path_factory.mktemp("managed") / "log.txt",
        {
            "autostart": False,
            "model.device": "cpu",
            "model.precision": "float32",
            "overlay.alhpa": 0.4,
            "classes.database": "of a dumped parameter file",
            # A burst that best-effort transport may lose says nothing about the node's queue.
            f"qos_overrides.{MANAGED}/image.subscription_all.reliability": "reliable",
        },
        MANAGED,
    )
    yield process
    assert process.stop() == 0, process.log_tail()


@pytest.fixture
def manager(managed: LoggedProcess) -> Iterator[Peer]:
    """A lifecycle manager; the node is unconfigured before and after."""
    peer = Peer(MANAGED)
    assert peer.state() == "unconfigured"
    yield peer
    if peer.state() == "active":
        assert peer.change_state("deactivate")
    if peer.state() == "inactive":
        assert peer.change_state("cleanup")
    peer.close()


def write_missing(path: Path, good: Path) -> None:
    """Leave no file at all."""


def write_pickle(path: Path, good: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": [1, 2, 3]}))


def write_torch(path: Path, good: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def write_truncated(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes()[:100_000])


def write_empty(path: Path, good: Path) -> None:
    path.write_bytes(b"")


def write_without_metadata(path: Path, good: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def write_other_classes(path: Path, good: Path) -> None:
    tensors = load_file(good)
    name = next(name for name in tensors if name.endswith("bias") and len(tensors[name]) == 11)
    tensors[name] = tensors[name][:10].clone()
    with safe_open(good, framework="pt") as file:
        save_file(tensors, path, file.metadata())


@pytest.mark.parametrize(
    "write",
    [
        write_missing,
        write_pickle,
        write_torch,
        write_truncated,
        write_empty,
        write_without_metadata,
        write_other_classes,
    ],
)
def test_bad_weights_are_a_failure_and_the_node_lives(
    manager: Peer,
    managed: LoggedProcess,
    tmp_path: Path,
    weights_path: Path,
    write: Callable[[Path, Path], None],
) -> None:
    path = tmp_path / f"{write.__name__}.safetensors"
    write(path, weights_path)
    assert manager.set(model__weights=str(path)).successful
    assert not manager.change_state("configure")
    assert manager.state() == "unconfigured"
    assert managed.exit_code is None
    line = next(line for line in managed.log_tail(60).splitlines() if str(path) in line)
    assert "cannot configure: " in line


def test_the_log_tells_of_a_propagation_network_that_was_never_trained(
    manager: Peer, managed: LoggedProcess, tmp_path: Path, weights_path: Path
) -> None:
    path = tmp_path / "untrained.safetensors"
    keyframe, propagation, info = read_networks(weights_path)
    save_model(path, keyframe, propagation, replace(info, propagation_trained=False))
    assert manager.set(model__weights=str(path)).successful
    assert manager.change_state("configure")
    told = [
        line for line in managed.log_tail(60).splitlines() if f"{path}: the propagation" in line
    ]
    assert any("[WARN]" in line and "gsvnet train propagation" in line for line in told), told


def test_what_could_not_be_configured_is_a_warning(
    manager: Peer, tmp_path: Path, weights_path: Path
) -> None:
    diagnostics = manager.listen(DiagnosticArray, "/diagnostics")
    path = str(tmp_path / "missing.safetensors")

    def told(level: bytes, begin: str, end: str = "") -> bool:
        statuses = [status for array in diagnostics for status in array.status]
        diagnostics.clear()
        return any(
            status.name == "managed/segmentation"
            and status.level == level
            and status.message.startswith(begin)
            and end in status.message
            for status in statuses
        )

    assert manager.set(model__weights=path).successful
    assert not manager.change_state("configure")
    manager.wait(lambda: told(DiagnosticStatus.WARN, "unconfigured: cannot configure: ", path))
    assert manager.set(model__weights=str(weights_path)).successful
    assert manager.change_state("configure")
    manager.wait(lambda: told(DiagnosticStatus.OK, "inactive"))


def test_unknown_parameter_is_told_with_the_nearest_name(
    manager: Peer, managed: LoggedProcess
) -> None:
    told = [line for line in managed.log_tail(1000).splitlines() if "there is no" in line]
    assert len(told) == 1
    assert "'overlay.alhpa'; did you mean overlay.alpha?" in told[0]
    assert "overlay.alhpa" not in manager.list_parameters()


def test_device_that_is_not_there_is_a_failure(manager: Peer, weights_path: Path) -> None:
    assert manager.set(model__weights=str(weights_path), model__device="cuda:99").successful
    assert not manager.change_state("configure")
    assert manager.set(model__device="cpu").successful
    assert manager.change_state("configure")


def test_input_scale_out_of_reach_is_refused(manager: Peer, weights_path: Path) -> None:
    assert not manager.set(model__input_scale=2.5).successful
    refused = manager.set(model__weights=str(weights_path), model__input_scale=0.01)
    assert not refused.successful
    assert "model.input_scale: expected 0 or a value from 0.1 to 2, got 0.01" in refused.reason
    assert manager.set(model__weights=str(weights_path), model__input_scale=0.5).successful
    assert manager.change_state("configure")
    assert manager.change_state("cleanup")
    assert manager.set(model__input_scale=0).successful


THREADS_SCRIPT = """
import sys
import rclpy, torch
from gsvnet_ros.node import segmentation_node

def noted(settings, *args):
    model = load(settings, *args)
    print(torch.get_num_threads(), end=" ")
    return model

torch.set_num_threads(3)
load, segmentation_node._loaded_model = segmentation_node._loaded_model, noted
rclpy.init(args=["--ros-args", "-p", f"model.weights:={sys.argv[1]}", "-r", "__ns:=/threads"])
node = segmentation_node.SegmentationNode()
for limit in (2, 256, 0):
    node.set_parameters([rclpy.Parameter("model.threads", value=limit)])
    node.trigger_configure()
    print(node._worker._pool.submit(torch.get_num_threads).result(), torch.get_num_threads())
    node.trigger_cleanup()
"""


def test_loading_and_background_keyframes_keep_to_the_threads(weights_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", THREADS_SCRIPT, str(weights_path)],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    # Of the one that loads, of the one that labels keyframes, and of the main thread.
    assert run.stdout.splitlines() == ["2 2 3", "3 3 3", "3 3 3"], run.stderr


def test_states_serve_and_release(manager: Peer, weights_path: Path) -> None:
    assert manager.set(model__weights=str(weights_path)).successful
    assert manager.change_state("configure")
    manager.wait(lambda: f"{MANAGED}/segmentation/mask" in topics(manager))
    assert manager.node.count_subscribers(f"{MANAGED}/image") == 0
    assert manager.change_state("activate")
    camera = CameraPeer(namespace=MANAGED)
    try:
        camera.warm_up(image_message(scene(0)))
        assert manager.change_state("deactivate")
        manager.wait(lambda: manager.node.count_subscribers(f"{MANAGED}/image") == 0)
        camera.spin(0.5)
        camera.masks.clear()
        camera.send(image_message(scene(0)))
        camera.spin(0.5)
        assert not camera.masks
        camera.spin(1.0)
        camera.diagnostics.clear()
        assert manager.change_state("activate")
        name = "managed/segmentation: camera"
        camera.wait(lambda: latest_status(camera, name))
        first = latest_status(camera, name)
        assert first is not None
        assert first.message == "no frame yet"
        camera.warm_up(image_message(scene(0)))
        assert manager.change_state("deactivate")
    finally:
        camera.close()
    assert manager.change_state("cleanup")
    manager.wait(lambda: f"{MANAGED}/segmentation/mask" not in topics(manager))
    assert manager.state() == "unconfigured"
    assert manager.set(frames__policy="all").successful
    assert manager.set(frames__policy="latest").successful


def test_policy_all_serves_every_frame_in_order(manager: Peer, weights_path: Path) -> None:
    assert manager.set(model__weights=str(weights_path), frames__policy="all").successful
    assert manager.change_state("configure")
    assert manager.change_state("activate")
    camera = CameraPeer(namespace=MANAGED)
    try:
        camera.warm_up(image_message(scene(0)))
        camera.masks.clear()
        sent = [camera.send(image_message(scene(index))) for index in range(20)]
        camera.wait(lambda: len(camera.masks) >= 20)
        assert [stamp_ns(mask.header) for mask in camera.masks] == sent
    finally:
        camera.close()
        manager.change_state("deactivate")
        manager.change_state("cleanup")
        assert manager.set(frames__policy="latest").successful


def test_compressed_images_are_served(manager: Peer, weights_path: Path) -> None:
    assert manager.set(model__weights=str(weights_path), image_transport="compressed").successful
    assert manager.change_state("configure")
    assert manager.change_state("activate")
    camera = CameraPeer(compressed=True, namespace=MANAGED)
    try:
        message = compressed_message(scene(1))
        camera.warm_up(message)
        camera.reset()
        mask, _, _ = camera.exchange(message)
        library = VideoSegmenter(load_model(weights_path, "cpu", "float32"))
        np.testing.assert_array_equal(pixels_of(mask), library.step(scene(1)).labels)
        before = camera.counts()
        sent = camera.sent
        random = np.random.default_rng(5)
        for _ in range(500):
            camera.send(mutated(message, random))
            camera.spin(0.002)
        camera.exchange(message)

        def adds_up() -> bool:
            after = camera.counts()
            return after["sent"] - before["sent"] == camera.sent - sent

        camera.wait(adds_up)
        after = camera.counts()
        assert after["sent"] == after["served"] + after["dropped"]
        assert after["dropped"] > before["dropped"]
        assert "dropped.failed" not in after
    finally:
        camera.close()
        manager.change_state("deactivate")
        manager.change_state("cleanup")
        assert manager.set(image_transport="raw").successful


def test_simulated_time_may_stop_and_go_back(manager: Peer, weights_path: Path) -> None:
    clock = manager.node.create_publisher(Clock, "/clock", 10)
    start_s = 1000

    def tick(seconds: int) -> None:
        message = Clock()
        message.clock.sec = seconds
        clock.publish(message)

    assert manager.set(model__weights=str(weights_path), use_sim_time=True).successful
    assert manager.change_state("configure")
    assert manager.change_state("activate")
    camera = CameraPeer(namespace=MANAGED)

    def report() -> tuple[int, DiagnosticStatus]:
        camera.diagnostics.clear()
        name = "managed/segmentation"
        camera.wait(lambda: any(array.status[0].name == name for array in camera.diagnostics))
        array = next(array for array in camera.diagnostics if array.status[0].name == name)
        return array.header.stamp.sec, array.status[1]

    def clock_arrived() -> bool:
        tick(start_s)
        return report()[0] == start_s

    try:
        manager.wait(clock_arrived)
        camera.warm_up(image_message(scene(0)))
        stamp = start_s * 10**9
        camera.exchange(image_message(scene(0)), stamp)
        _, _, status = camera.exchange(image_message(scene(1)), stamp + 1_000_000)
        assert float(status["latency_ms"]) == pytest.approx(-1.0)
        # Silence is told although the clock stands still.
        manager.wait(lambda: report()[1].level == DiagnosticStatus.STALE)
        tick(start_s - 10)
        manager.wait(lambda: report()[0] == start_s - 10)
        _, _, status = camera.exchange(image_message(scene(0)), stamp - 10 * 10**9)
        assert status["keyframe_reason"] == "stamp_back"
    finally:
        camera.close()
        manager.node.destroy_publisher(clock)
        assert manager.set(use_sim_time=False).successful


def compressed_message(image: NDArray[np.uint8]) -> CompressedImage:
    """Return an RGB image as PNG, so that nothing is lost."""
    _, png = cv2.imencode(".png", image[..., ::-1])
    message = CompressedImage(format="png")
    message.data.frombytes(png.tobytes())
    return message


def mutated(sample: CompressedImage, random: np.random.Generator) -> CompressedImage:
    """Return a copy that is truncated, overwritten in places, or of another format."""
    data = bytearray(sample.data.tobytes())
    kind = int(random.integers(4))
    if kind == 0:
        data = data[: int(random.integers(0, len(data)))]
    elif kind == 1:
        data = bytearray(random.bytes(int(random.integers(0, 500))))
    else:
        for _ in range(int(random.integers(1, 30))):
            data[int(random.integers(0, len(data)))] = int(random.integers(0, 256))
    message = CompressedImage(format=str(random.choice(["png", "jpeg", "", "ü" * 99])))
    message.data.frombytes(bytes(data))
    return message


def node_state(camera: CameraPeer, name: str) -> str:
    """Return the state that the latest diagnostics of a node tell, empty while there are none."""
    status = latest_status(camera, name)
    return status_values(status)["state"] if status else ""


def latest_status(camera: CameraPeer, name: str) -> DiagnosticStatus | None:
    """Return the latest diagnostic status of this name, None while there is none."""
    statuses = [status for array in camera.diagnostics for status in array.status]
    return next((status for status in reversed(statuses) if status.name == name), None)


def topics(peer: Peer) -> set[str]:
    """Return the names of all topics."""
    return {name for name, _ in peer.node.get_topic_names_and_types()}


def test_pause_counts_its_frames_and_starts_anew(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    camera.enable(False)
    camera.masks.clear()
    for _ in range(3):
        changes = camera.changes(lambda: camera.send(image_message(scene(0))))
        assert changes == {"sent": 1, "dropped": 1, "dropped.paused": 1}
    assert not camera.masks
    camera.enable(True)
    _, _, status = camera.exchange(image_message(scene(0)))
    assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "enabled")


def test_silent_camera_is_stale(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    camera.diagnostics.clear()

    def is_stale() -> bool:
        status = latest_status(camera, "segmentation: camera")
        return status is not None and bytes(status.level) == DiagnosticStatus.STALE

    camera.wait(is_stale)
    assert node_state(camera, "segmentation") == "active"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (ros_arguments({"keyframe.interval": 0, "overlay.alpha": 3}), "keyframe.interval"),
        (["--ros-args", "--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_bad_start_ends_with_one_message(arguments: list[str], why: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gsvnet_ros.segmentation_node", *arguments],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = (line for line in ended.stderr.splitlines() if "cannot start" in line)
    assert why in line
    assert "Traceback" not in ended.stderr


def test_interrupt_ends_cleanly_and_leaves_no_shared_memory(
    ros: None, tmp_path: Path, weights_path: Path
) -> None:
    before = segments()
    process = start_node(tmp_path / "log.txt", {"model.weights": str(weights_path)}, "/interrupted")
    peer = CameraPeer(namespace="/interrupted")
    try:
        peer.warm_up(image_message(scene(0)))
    finally:
        peer.close()
    assert process.stop() == 0, process.log_tail(100)
    assert "Traceback" not in process.log_tail(100)
    time.sleep(1.1)  # a younger segment is not told from one that is just being made
    # Ports of a domain are shared: one that a living participant uses is not left behind.
    assert set(remove_dead_segments()) <= before


def test_the_log_tells_of_silent_cameras_what_may_be_meant(
    ros: None, tmp_path: Path, weights_path: Path
) -> None:
    namespace = "/silent"
    log = tmp_path / "log.txt"
    process = start_node(
        log,
        {"model.weights": str(weights_path), "model.device": "cpu", "cameras": ["left", "right"]},
        namespace,
    )
    peer = Peer(namespace)
    try:
        peer.node.create_publisher(Image, "/front/image_raw", 1)
        peer.node.create_publisher(CompressedImage, "right/image", 1)
        peer.wait(lambda: log.read_text().count("no frame on") == 2, START_S)
        told = log.read_text()
        assert "no frame on /silent/left/image: no publisher; remap left/image to " in told
        assert "'/front/image_raw'" in told
        assert (
            "no frame on /silent/right/image: /silent/right/image carries "
            "'sensor_msgs/msg/CompressedImage', and this node expects sensor_msgs/msg/Image"
        ) in told
        camera = CameraPeer("left", namespace=namespace)
        camera.warm_up(image_message(scene(0)))
        # A camera that goes on, so that the next report finds its frames as they come.
        peer.wait(
            lambda: (
                camera.exchange(image_message(scene(0)))
                and "frames again on /silent/left/image" in log.read_text()
            )
        )
        camera.close()
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()
    assert log.read_text().count("no frame on") == 2


def test_a_wrong_qos_override_leaves_the_node_inactive_with_the_reason(
    ros: None, tmp_path: Path, weights_path: Path
) -> None:
    namespace = "/overridden"
    process = start_node(
        tmp_path / "log.txt",
        {
            "model.weights": str(weights_path),
            "cameras": ["front", "rear"],
            f"qos_overrides.{namespace}/front/image.subscription.reliability": "reliable",
            f"qos_overrides.{namespace}/rear/image.subscription.reliability": "garbage",
        },
        namespace,
    )
    peer = Peer(namespace)
    try:
        peer.wait(lambda: "cannot activate: " in process.log_tail(), START_S)
        assert peer.state() == "inactive"
        assert "garbage" in process.log_tail()
        # The camera that was subscribed to is let go.
        peer.wait(lambda: peer.node.count_subscribers(f"{namespace}/front/image") == 0)
        # What is read once does not pretend to be live.
        name = f"qos_overrides.{namespace}/front/image.subscription.reliability"
        assert not peer.set(**{name: "best_effort"}).successful
        assert peer.get(name) == "reliable"
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()


def test_cameras_can_be_swapped_by_remapping(ros: None, tmp_path: Path, weights_path: Path) -> None:
    unused = "qos_overrides./swapped/left/image.subscription_all.depth"
    arguments = ros_arguments(
        {"model.weights": str(weights_path), "cameras": ["left", "right"], unused: 5}
    )
    for topic in ("image", "camera_info"):
        arguments += ["-r", f"left/{topic}:=/swapped/right/{topic}"]
        arguments += ["-r", f"right/{topic}:=/swapped/left/{topic}"]
    arguments += ["-r", "__ns:=/swapped"]
    log = tmp_path / "log.txt"
    process = LoggedProcess("node", "gsvnet_ros.segmentation_node", arguments, log)
    peer = Peer("/swapped")
    try:
        peer.wait(lambda: log.read_text().count("serving /swapped") == 2, START_S)
        first, second = (
            line.rpartition(" ")[2] for line in log.read_text().splitlines() if "serving" in line
        )
        assert (first, second) == ("/swapped/right/image", "/swapped/left/image")
        # The silent one is told, not the one that its name is mapped to.
        peer.node.create_publisher(Image, "/swapped/left/image", 1)
        peer.wait(lambda: "no frame on /swapped/right/image: no " in log.read_text(), START_S)
        assert f"{unused} is of no subscription" in log.read_text()
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()


@pytest.mark.parametrize("autostart", [True, False])
def test_a_request_to_terminate_ends_cleanly(
    ros: None, tmp_path: Path, weights_path: Path, autostart: bool
) -> None:
    log = tmp_path / "log.txt"
    namespace = f"/terminated{autostart:d}"
    parameters = {"model.weights": str(weights_path), "autostart": autostart}
    arguments = [*ros_arguments(parameters), "-r", f"__ns:={namespace}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gsvnet_ros.segmentation_node", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    peer = Peer(namespace)
    try:
        wanted = "active" if autostart else "unconfigured"
        peer.wait(lambda: peer.state() == wanted, START_S)
        if not autostart:
            assert peer.change_state("configure")
        process.terminate()
        assert process.wait(START_S) == 0, log.read_text()
    finally:
        peer.close()
        process.kill()
    assert "Traceback" not in log.read_text()


def test_only_the_end_of_ros_ends_work_quietly(ros: None) -> None:
    for quiet in (KeyboardInterrupt(), ExternalShutdownException()):
        with until_shutdown():
            raise quiet
    with pytest.raises(RuntimeError, match="a fault"), until_shutdown():
        raise RuntimeError("a fault")


def test_a_lifecycle_manager_can_shut_the_node_down(
    ros: None, tmp_path: Path, weights_path: Path
) -> None:
    process = start_node(tmp_path / "log.txt", {"model.weights": str(weights_path)}, "/shut")
    camera = CameraPeer(namespace="/shut")
    try:
        camera.warm_up(image_message(scene(0)))
        assert camera.change_state("shutdown")
        assert camera.state() == "finalized"
        camera.diagnostics.clear()
        camera.wait(lambda: node_state(camera, "shut/segmentation") == "finalized")
        camera.wait(lambda: camera.node.count_publishers("/shut/segmentation/mask") == 0)
        camera.wait(lambda: camera.images.get_subscription_count() == 0)
    finally:
        camera.close()
        assert process.stop() == 0, process.log_tail()
    assert "Traceback" not in process.log_tail(100)
