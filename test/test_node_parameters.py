# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Parameters of a live node: in effect on the next frame, or refused with the reason."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterType
from ros_process import START_S, CameraPeer, Peer, image_message, pixels_of, scene
from sensor_msgs.msg import Image
from std_msgs.msg import String
from test_node_contract import LATCHED

from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.outputs.overlay import colorize, mark_keyframe, overlay
from gsvnet_ros.node.parameters import SPECS
from gsvnet_ros.startup.processes import LoggedProcess

TYPES = {
    "bool": ParameterType.PARAMETER_BOOL,
    "integer": ParameterType.PARAMETER_INTEGER,
    "double": ParameterType.PARAMETER_DOUBLE,
    "string": ParameterType.PARAMETER_STRING,
    "string[]": ParameterType.PARAMETER_STRING_ARRAY,
}


def test_every_parameter_of_the_table_is_declared(camera: CameraPeer) -> None:
    declared = camera.list_parameters()
    for spec in SPECS:
        assert spec.name in declared
        descriptor = camera.describe(spec.name)
        assert descriptor.description == spec.descriptor().description
        assert descriptor.type == TYPES[spec.type_name]
        assert descriptor.read_only == (spec.effect == "start")


def test_dumped_parameters_start_a_node_like_the_one_dumped(
    camera: CameraPeer, tmp_path: Path
) -> None:
    """As `ros2 param dump` writes them, lists that are empty included."""
    dumped: dict[str, Any] = {}
    for name in camera.list_parameters():
        *folders, last = name.split(".")
        place = dumped
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = camera.get(name)
    assert dumped["cameras"] == dumped["classes"]["merge"] == []
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.safe_dump({"/dumped/segmentation": {"ros__parameters": dumped}}))
    arguments = ["--ros-args", "--params-file", str(path), "-r", "__ns:=/dumped"]
    process = LoggedProcess("node", "gsvnet_ros.segmentation_node", arguments, tmp_path / "log")
    peer = Peer("/dumped")
    try:
        served = "serving /dumped/image"
        peer.wait(lambda: process.exit_code is not None or served in process.log_tail(), START_S)
        assert process.exit_code is None, process.log_tail()
        peer.meet()
        for spec in SPECS:
            assert peer.get(spec.name) == camera.get(spec.name), spec.name
    finally:
        peer.close()
        assert process.stop() == 0, process.log_tail()
    assert "there is no parameter" not in process.log.read_text()


def test_interval_takes_effect_on_the_next_frame(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    assert camera.set(keyframe__interval=1).successful
    try:
        _, _, status = camera.exchange(image_message(scene(1)))
        assert (status["is_keyframe"], status["keyframe_reason"]) == ("true", "interval")
        assert camera.set(keyframe__interval=2).successful
        kinds = [camera.exchange(image_message(scene(2 + k)))[2]["is_keyframe"] for k in range(3)]
        assert kinds == ["false", "true", "false"]
    finally:
        assert camera.set(keyframe__interval=3).successful


def test_policies_are_exchanged_live_and_refused_with_the_reason(camera: CameraPeer) -> None:
    refused = camera.set(keyframe__policy="adaptive")
    assert not refused.successful
    assert "fit-quality" in refused.reason  # random weights carry no estimate
    refused = camera.set(keyframe__min_interval=9, keyframe__max_interval=8)
    assert not refused.successful
    assert "keyframe.min_interval" in refused.reason
    camera.exchange(image_message(scene(0)))
    assert camera.set(keyframe__policy="budget", keyframe__target_ms=100000).successful
    try:
        # More time than any frame takes: all of them keyframes, once it has seen what one of
        # each kind costs.
        reasons = []
        for index in range(1, 7):
            _, _, status = camera.exchange(image_message(scene(index)))
            assert status["policy"] == "budget"
            reasons.append(status["keyframe_reason"])
        assert reasons == ["budget", "", *["budget"] * 4]
        assert status["policy.target_ms"] == "100000"
    finally:
        assert camera.set(keyframe__policy="fixed", keyframe__target_ms=25.0).successful
    _, _, status = camera.exchange(image_message(scene(7)))
    assert (status["policy"], status["keyframe_age"]) == ("fixed", "1")


def drawn(
    camera: CameraPeer, peer: Peer, pictures: list[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, dict[str, str]]:
    """Return the labels of scene 5, what is drawn of them and their status.

    Nothing is drawn while the node does not know of the listener.
    """
    pictures.clear()
    mask, _, status = camera.exchange(image_message(scene(5)))
    peer.spin(0.2)
    picture = pixels_of(pictures[-1], channels=3) if pictures else None
    return pixels_of(mask), picture, status


def test_alpha_takes_effect_on_the_next_frame_and_may_be_an_integer(camera: CameraPeer) -> None:
    peer = Peer()
    overlays = peer.listen(Image, "/segmentation/overlay")
    try:
        for alpha in (1, 0.25):
            assert camera.set(overlay__alpha=alpha, overlay__keyframes=False).successful
            assert camera.get("overlay.alpha") == float(alpha)

            def came(alpha: float = alpha) -> bool:
                camera.reset()
                labels, picture, _ = drawn(camera, peer, overlays)
                if picture is None:
                    return False
                expected = overlay(scene(5), labels, CAMVID.palette_array(), alpha)
                np.testing.assert_array_equal(picture, expected)
                return True

            peer.wait(came)
    finally:
        peer.close()
        assert camera.set(overlay__alpha=0.5, overlay__keyframes=True).successful


def test_overlay_marks_keyframes(camera: CameraPeer) -> None:
    peer = Peer()
    overlays = peer.listen(Image, "/segmentation/overlay")

    def came(is_keyframe: bool) -> bool:
        if is_keyframe:
            camera.reset()
        labels, picture, status = drawn(camera, peer, overlays)
        if picture is None:
            return False
        assert status["is_keyframe"] == str(is_keyframe).lower()
        expected = overlay(scene(5), labels, CAMVID.palette_array())
        if is_keyframe:
            mark_keyframe(expected)
        np.testing.assert_array_equal(picture, expected)
        return True

    try:
        peer.wait(lambda: came(True))
        assert came(False)
    finally:
        peer.close()


def test_background_keyframes_are_merged_without_a_wait(camera: CameraPeer) -> None:
    camera.exchange(image_message(scene(0)))
    assert camera.set(keyframe__mode="background", keyframe__interval=2).successful
    try:
        statuses: list[dict[str, str]] = []

        def landed() -> bool:
            _, _, status = camera.exchange(image_message(scene(1 + len(statuses) % 20)))
            statuses.append(status)
            return status["keyframe_background"] == "merged"

        camera.wait(landed)  # on a busy machine it may take many frames
        assert {status["is_keyframe"] for status in statuses} == {"false"}
        begun = [status["keyframe_reason"] for status in statuses].index("interval")
        assert statuses[begun]["keyframe_background"] == "running"
        assert int(statuses[-1]["keyframe_age"]) == len(statuses) - 1 - begun
        assert float(statuses[-1]["background_ms"]) > 0
        assert camera.set(keyframe__mode="blocking").successful
        kinds = [camera.exchange(image_message(scene(k)))[2]["is_keyframe"] for k in range(3)]
        assert "true" in kinds
    finally:
        assert camera.set(keyframe__mode="blocking", keyframe__interval=3).successful


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("keyframe__interval", 0, "out of range"),
        ("keyframe__interval", 2.5, "Wrong parameter type"),
        ("overlay__alpha", 1.5, "out of range"),
        ("overlay__alpha", -1, "out of range"),
        ("overlay__alpha", float("nan"), "out of range"),
        ("overlay__alpha", "half", "Wrong parameter type"),
        ("autostart", False, "read-only"),
        ("model__weights", "/elsewhere", "read at configure"),
        ("frames__policy", "all", "read at configure"),
        ("classes__merge", ["a: unicorn"], "got 'unicorn'"),
        ("classes__database", "[]", "written by the node"),
        ("no__such", 1, "undeclared"),
    ],
)
def test_wrong_value_is_refused_with_its_reason(
    camera: CameraPeer, name: str, value: object, why: str
) -> None:
    dotted = name.replace("__", ".")
    before = camera.get(dotted) if dotted != "no.such" else None
    result = camera.set(**{name: value})
    assert not result.successful
    assert why in result.reason
    if dotted != "no.such":
        assert camera.get(dotted) == before


def test_batch_is_set_as_a_whole_or_not_at_all(camera: CameraPeer) -> None:
    assert not camera.set(overlay__alpha=0.75, keyframe__interval=0).successful
    assert camera.get("overlay.alpha") == 0.5
    assert not camera.set(overlay__alpha=0.75, classes__merge=["a: road", "a: sky"]).successful
    assert camera.get("overlay.alpha") == 0.5


def test_value_that_stays_is_no_change(camera: CameraPeer) -> None:
    assert camera.set(frames__policy="latest").successful


def test_merged_classes_reach_mask_class_map_and_database(camera: CameraPeer) -> None:
    peer = Peer()
    maps = peer.listen(String, "/segmentation/class_map", LATCHED)
    plain = pixels_of(camera.exchange(image_message(scene(0)))[0]).copy()
    present = CAMVID.names[int(np.bincount(plain.ravel()).argmax())]
    try:
        peer.wait(lambda: maps)
        assert camera.set(classes__merge=[f"wanted: {present}", "other: *"]).successful
        camera.reset()
        mask = pixels_of(camera.exchange(image_message(scene(0)))[0])
        expected = np.where(plain == CAMVID.names.index(present), 0, 1)
        np.testing.assert_array_equal(mask, expected)
        peer.wait(lambda: len(maps) == 2)
        names = [entry["class_name"] for entry in json.loads(maps[-1].data)["class_map"]]
        assert names == ["wanted", "other"]
        database = json.loads(camera.get("classes.database"))
        assert [entry["name"] for entry in database] == ["wanted", "other"]
        assert camera.set(classes__merge=[f"wanted: {present}"]).successful
        camera.reset()
        message, confidence, _ = camera.exchange(image_message(scene(0)))
        unlabeled = pixels_of(message) == 255
        np.testing.assert_array_equal(unlabeled, expected == 1)
        assert (pixels_of(confidence)[unlabeled] == 0).all()
    finally:
        peer.close()
        assert camera.set(classes__merge=[]).successful
    camera.reset()
    mask = pixels_of(camera.exchange(image_message(scene(0)))[0])
    np.testing.assert_array_equal(mask, plain)


def test_low_confidence_becomes_unlabeled(camera: CameraPeer) -> None:
    _, plain, _ = camera.exchange(image_message(scene(0)))
    limit = float(np.median(pixels_of(plain))) / 255.0
    assert camera.set(output__min_confidence=limit).successful
    try:
        camera.reset()
        mask, confidence, _ = camera.exchange(image_message(scene(0)))
    finally:
        assert camera.set(output__min_confidence=0.0).successful
    unlabeled = pixels_of(mask) == 255
    np.testing.assert_array_equal(unlabeled, pixels_of(plain) < 255 * limit)
    assert 0 < unlabeled.sum() < unlabeled.size
    assert (pixels_of(confidence)[unlabeled] == 0).all()


def test_output_size_keeps_the_shape_of_the_image(camera: CameraPeer) -> None:
    assert camera.set(output__height=61).successful
    try:
        mask, confidence, _ = camera.exchange(image_message(scene(0)))
        assert (mask.height, mask.width, mask.step) == (61, 81, 81)
        assert (confidence.height, confidence.width) == (61, 81)
        assert len(confidence.data) == 61 * 81
    finally:
        assert camera.set(output__height=0).successful


def test_parameter_storms_change_nothing_but_parameters(camera: CameraPeer) -> None:
    random = np.random.default_rng(3)
    choices: list[tuple[str, list[object]]] = [
        ("keyframe__interval", [1, 2, 3, 0, -5, 2.5, "x", True]),
        ("overlay__alpha", [0, 1, 0.3, 2, float("inf"), "x"]),
        ("output__width", [0, 80, 33, -1, 10**6]),
        ("output__min_confidence", [0, 0.1, 1.1]),
        ("classes__merge", [[], [""], ["a: road"], ["a: unicorn"], "a: road", 5, [1]]),
        ("frames__max_gap", [0, 1, -1]),
        ("model__device", ["cpu", "cuda:99"]),
        ("no__such", [1]),
    ]
    before = camera.counts()
    sent = camera.sent
    outcomes = set()
    for number in range(1000):
        name, values = choices[int(random.integers(len(choices)))]
        outcomes.add(camera.set(**{name: values[int(random.integers(len(values)))]}).successful)
        if number % 10 == 0:
            camera.send(image_message(scene(number)))
    assert outcomes == {True, False}
    assert camera.set(
        keyframe__interval=3,
        overlay__alpha=0.5,
        output__width=0,
        output__min_confidence=0,
        classes__merge=[],
        frames__max_gap=1,
    ).successful
    camera.exchange(image_message(scene(0)))

    def adds_up() -> bool:
        after = camera.counts()
        return after["sent"] - before["sent"] == camera.sent - sent

    camera.wait(adds_up)
    after = camera.counts()
    assert after["sent"] == after["served"] + after["dropped"]
    assert after.get("dropped.failed", 0) == before.get("dropped.failed", 0)


def test_how_much_keyframes_keep_and_what_a_gap_is_change_live(camera: CameraPeer) -> None:
    # Alike enough to carry labels over, and different enough for other labels.
    before = scene(2).copy()
    before[:, : before.shape[1] // 2] = before[:, : before.shape[1] // 2] // 10 * 9

    def keyframe_after_another() -> bytes:
        camera.reset()
        for _ in range(2):
            camera.exchange(image_message(before))
        assert camera.set(keyframe__interval=2).successful
        _, confidence, status = camera.exchange(image_message(scene(2)))
        assert status["keyframe_reason"] == "interval"
        return bytes(confidence.data)

    def keyframe_alone() -> bytes:
        camera.reset()
        return bytes(camera.exchange(image_message(scene(2)))[1].data)

    try:
        assert camera.set(keyframe__carry_over=0.0).successful
        assert keyframe_after_another() == keyframe_alone()
        assert camera.set(keyframe__carry_over=0.9, keyframe__interval=3).successful
        assert keyframe_after_another() != keyframe_alone()
        assert camera.set(frames__max_gap=0.5, keyframe__interval=3).successful
        _, _, status = camera.exchange(image_message(scene(3)), camera.next_stamp(600_000_000))
        assert status["keyframe_reason"] == "gap"
    finally:
        assert camera.set(
            keyframe__carry_over=0.3, keyframe__interval=3, frames__max_gap=1.0
        ).successful


def test_the_latency_budget_changes_live(camera: CameraPeer) -> None:
    def exchange_late_frame() -> object:
        """Exchange one that is stamped 50 ms ago, however far the tests before have come."""
        behind = time.time_ns() - 50_000_000 - camera.next_stamp(0)
        return camera.exchange(image_message(scene(0)), camera.next_stamp(max(behind, 1_000_000)))

    def message() -> str:
        camera.diagnostics.clear()
        # Frames all the while: a camera that was silent for a second is told as that.
        camera.wait(lambda: exchange_late_frame() and camera.diagnostics)
        texts = [
            str(status.message)
            for array in camera.diagnostics
            for status in array.status
            if status.name == "segmentation: camera"
        ]
        return texts[-1] if texts else ""

    try:
        assert camera.set(diagnostics__latency_budget_ms=1).successful
        camera.wait(lambda: "exceeds the budget of 1 ms" in message(), START_S)
    finally:
        assert camera.set(diagnostics__latency_budget_ms=100000).successful
    camera.wait(lambda: "Hz" in message(), START_S)
    assert camera.set(diagnostics__latency_budget_ms=100).successful


def test_the_legend_changes_live(camera: CameraPeer) -> None:
    peer = Peer()
    colors = peer.listen(Image, "/segmentation/color")

    def is_plain() -> bool | None:
        camera.reset()
        labels, picture, _ = drawn(camera, peer, colors)
        if picture is None:
            return None
        return np.array_equal(picture, colorize(labels, CAMVID.palette_array()))

    try:
        peer.wait(is_plain)
        assert camera.set(overlay__legend=True).successful
        peer.wait(lambda: is_plain() is False)
    finally:
        peer.close()
        assert camera.set(overlay__legend=False).successful
