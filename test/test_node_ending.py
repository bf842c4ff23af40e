# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A signal ends the node at whatever moment it comes: soon, quietly, with nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ros_process import START_S, Peer, image_message, scene
from sensor_msgs.msg import Image

from gsvnet_ros.startup.ending import PATIENCE_S
from gsvnet_ros.startup.processes import ros_arguments
from gsvnet_ros.startup.shared_memory import FOLDER, owned_segments

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

END_S = 60.0
"""Where the machine is busy; a node that the signal has missed would run for ever."""

NODE = ["-m", "gsvnet_ros.segmentation_node"]

HANGS_WHILE_LOADING = """
import time
from gsvnet_ros.node import segmentation_node
from gsvnet_ros.segmentation_node import main
def hang(*args):
    print("loading", flush=True)
    time.sleep(3600)
segmentation_node._loaded_model = hang
main()
"""

HANGS_WHILE_DECODING = """
import time
from gsvnet_ros.node import camera_stream
from gsvnet_ros.segmentation_node import main
def hang(message):
    print("decoding", flush=True)
    time.sleep(3600)
camera_stream.rgb_from_image = hang
main()
"""

WAITS = """
import time
from gsvnet_ros.startup import ending
{act}
print("up", flush=True)
time.sleep(3600)
"""


def heed_signals() -> None:
    """Let a child heed the signals that the tests themselves may have been started to ignore."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class Started:
    """A process of Python whose output goes to a file.

    Args:
        arguments: of the interpreter.
        log: the file.
        prefix: command that starts the interpreter.
    """

    def __init__(self, arguments: list[str], log: Path, prefix: tuple[str, ...] = ()) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=heed_signals,
            )

    @property
    def told(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait for a condition while the process runs."""
        end = time.monotonic() + START_S
        while not condition():
            assert self.process.poll() is None, self.told
            assert time.monotonic() < end, self.told
            time.sleep(0.005)

    def wait_for_python(self) -> None:
        """Wait until the interpreter has given way to the program: only that can handle SIGINT."""

        def is_up() -> bool:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines())
            ignored, caught = int(fields["SigIgn"], 16), int(fields["SigCgt"], 16)
            # Python ignores SIGPIPE, then catches SIGINT; the node lets go of that.
            return bool(ignored >> signal.SIGPIPE - 1 & 1) and not caught >> signal.SIGINT - 1 & 1

        self.wait_for(is_up)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_S)


@contextmanager
def started(arguments: list[str], log: Path, prefix: tuple[str, ...] = ()) -> Iterator[Started]:
    """Start a process that is killed at the latest at the end of the test."""
    process = Started(arguments, log, prefix)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


def left_behind(own: set[str]) -> set[str]:
    """Return which of these segments are still there.

    Whoever still writes to a port makes its file anew, but not its owner's lock, `NAME_el`.
    """
    return {name for name in own if (FOLDER / (f"{name}_el" if "port" in name else name)).exists()}


@pytest.mark.parametrize(
    ("delay_s", "number"),
    list(zip((0.0, 0.05, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0), 3 * SIGNALS, strict=True)),
)
def test_a_signal_while_the_node_starts_ends_it(
    delay_s: float, number: signal.Signals, tmp_path: Path, weights_path: Path
) -> None:
    arguments = [*NODE, *ros_arguments({"model.weights": str(weights_path)})]
    with started(arguments, tmp_path / "log.txt") as node:
        node.wait_for_python()
        time.sleep(delay_s)
        own = owned_segments(node.process.pid)
        # By the signal itself while the libraries are imported.
        assert node.end(number) in (0, -number)
        assert len(node.told.splitlines()) <= 1, node.told
        assert not left_behind(own)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_weights_are_read_ends_the_node_quietly(
    number: signal.Signals, tmp_path: Path
) -> None:
    with started(["-c", HANGS_WHILE_LOADING], tmp_path / "log.txt") as node:
        node.wait_for(lambda: "loading" in node.told)
        own = owned_segments(node.process.pid)
        assert own
        assert node.end(number) == 0
        assert node.told == "loading\n"
        assert not left_behind(own)


def test_a_decoder_that_hangs_does_not_keep_the_node(
    ros: None, tmp_path: Path, weights_path: Path
) -> None:
    namespace = "/hangs"
    parameters = ros_arguments({"model.weights": str(weights_path), "model.device": "cpu"})
    arguments = ["-c", HANGS_WHILE_DECODING, *parameters, "-r", f"__ns:={namespace}"]
    with started(arguments, tmp_path / "log.txt") as node:
        peer = Peer(namespace)
        try:
            images = peer.node.create_publisher(Image, "image", 1)

            def hangs() -> bool:
                images.publish(image_message(scene(0)))
                peer.spin(0.2)
                return "decoding" in node.told

            node.wait_for(hangs)
        finally:
            peer.close()
        own = owned_segments(node.process.pid)
        assert own
        assert node.end(signal.SIGINT) == 0
        assert node.told.splitlines()[-1].startswith(f"segmentation: ended {PATIENCE_S:g} s after")
        assert "Traceback" not in node.told
        assert not left_behind(own)


def test_the_first_process_of_a_container_ends_as_any_other(tmp_path: Path) -> None:
    unshare = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not make process namespaces")
    for name, act in (
        ("loads", "ending.end_at_once_on_signal()"),
        ("runs", "ending.end_in_order_on_signal(lambda: None, lambda: None)"),
    ):
        with started(["-c", WAITS.format(act=act)], tmp_path / name, unshare) as program:
            program.wait_for(lambda: "up" in program.told)
            parent = program.process.pid
            child = Path(f"/proc/{parent}/task/{parent}/children").read_text().strip()
            subprocess.run(["kill", "-TERM", child], check=True)
            program.process.wait(END_S)
            assert "Traceback" not in program.told


@pytest.mark.parametrize(
    "act",
    ["ending.end_at_once_on_signal()", "ending.end_in_order_on_signal(lambda: 0, lambda: 0)"],
)
def test_a_node_that_nohup_started_outlives_its_terminal(act: str, tmp_path: Path) -> None:
    code = f"import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n{WAITS.format(act=act)}"
    with started(["-c", code], tmp_path / "log.txt") as program:
        program.wait_for(lambda: "up" in program.told)
        program.process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(PATIENCE_S + 0.5)
        assert program.end(signal.SIGTERM) in (0, -signal.SIGTERM)
