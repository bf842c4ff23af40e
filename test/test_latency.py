# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The comparison of keyframes in the stream with keyframes beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from models import moving_images, random_model

from gsvnet_lab.cli import main
from gsvnet_lab.evaluation.latency import measure_latency
from gsvnet_model.stream.segmenter import VideoSegmenter


def test_modes_are_judged_on_the_same_frames() -> None:
    model = random_model()
    labeller = VideoSegmenter(model, 3)
    images = moving_images(9)
    video = [(image, labeller.step(image).labels) for image in images]
    modes = measure_latency(model, video, rate_hz=200.0, interval=3, repetitions=2)
    blocking, background = modes["blocking"], modes["background"]
    # The first interval is the start and does not count.
    assert len(blocking.latency_ms) == len(background.latency_ms) == 2 * 6
    assert blocking.miou == 100.0  # labelled by itself
    assert blocking.keyframe_age == 1.0
    assert blocking.keyframe_share == pytest.approx(1 / 3)
    assert background.keyframe_age > 1.0
    assert 0.0 < background.keyframe_share < 0.5
    assert 0.0 < blocking.propagated_ms <= blocking.latency_at(99)


def test_command_writes_what_it_prints(
    clip_folder: Path,
    weights_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "latency.json"
    arguments = ["latency", "--data", str(clip_folder), "--weights", str(weights_path)]
    arguments += ["--rate", "100", "--interval", "2", "--repetitions", "1", "--json", str(file)]
    assert main(arguments) == 0
    figures = json.loads(file.read_text())["modes"]
    lines = capsys.readouterr().out.splitlines()
    for mode in ("blocking", "background"):
        (row,) = [line for line in lines if line.startswith(f"| {mode} |")]
        assert f"{figures[mode]['p99_ms']:.1f}" in row
        assert f"{figures[mode]['miou']:.1f}" in row
    assert figures["blocking"]["keyframe_share"] == 0.5
    for option, wrong, message in (
        ("--rate", "0", "a rate of more than 0 Hz"),
        ("--rate", "nan", "a rate of more than 0 Hz"),
        ("--interval", "1", "expected an interval of 2 or more"),
        ("--interval", "4", "expected more than 4 frames"),
    ):
        assert main([*arguments, option, wrong]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--repetitions", "0"])
    assert "expected a whole number of 1 or more, got '0'" in capsys.readouterr().err
