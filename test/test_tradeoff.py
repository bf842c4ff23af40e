# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The trade-off: curves against numbers made by hand, the measurement, the verb."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import pytest
from models import random_model

from gsvnet_lab.cli import tradeoff as verb
from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_lab.evaluation.distances import evaluate_distances
from gsvnet_lab.tradeoff.curves import (
    accuracy_at,
    lead_at_interval,
    per_frame_curve,
    propagation_curve,
    smallest_lead,
)
from gsvnet_lab.tradeoff.measure import (
    Contestant,
    TradeoffPoint,
    measure_accuracy,
    measure_throughput,
)
from gsvnet_model import VideoSegmenter
from gsvnet_model.checkpoint import read_networks, save_model
from gsvnet_model.outputs.classes import ClassTable
from gsvnet_model.scheduling.fixed import FixedPolicy
from street_drive import StreetDrive


@pytest.fixture(scope="module")
def clip() -> list[LabelledImage]:
    drive = StreetDrive(11, 96, 128)
    frames = [drive.frame(30 + index) for index in range(7)]
    return [(frame.image, frame.labels) for frame in frames]


def point(
    frames_per_s: float, miou: float, interval: int = 1, scale: float = 1.0, weights: str = "a"
) -> TradeoffPoint:
    return TradeoffPoint(Contestant(weights, scale, interval), miou, frames_per_s)


class TestCurves:
    POINTS = (
        point(10, 60),
        point(18, 59, 2),
        point(30, 57, 4),
        point(20, 56, scale=0.75),
        point(40, 50, scale=0.5),
        point(50, 49, scale=0.5, weights="b"),
        point(20, 58.5, scale=1.0, weights="b"),
    )

    def test_cardinality(self) -> None:
        ours = propagation_curve(self.POINTS, "a")
        assert [entry.contestant.interval for entry in ours] == [1, 2, 4]
        assert [entry.contestant.scale for entry in per_frame_curve(self.POINTS, "a")] == [
            1.0,
            0.75,
            0.5,
        ]

    def test_accuracy_between_points(self) -> None:
        curve = per_frame_curve(self.POINTS, "a")
        assert accuracy_at(curve, 15) == pytest.approx(58)
        assert accuracy_at(curve, 30) == pytest.approx(53)
        assert accuracy_at(curve, 40) == pytest.approx(50)
        assert accuracy_at(curve, 5) == pytest.approx(60)  # a fast one can also run slower
        assert accuracy_at(curve, 40.1) is None

    def test_a_faster_and_better_point_counts(self) -> None:
        curve = [point(10, 50), point(20, 60)]
        assert accuracy_at(curve, 12) == pytest.approx(60)

    def test_smallest_lead_is_exact_on_both_curves(self) -> None:
        ours = propagation_curve(self.POINTS, "a")[1:]
        same = smallest_lead(ours, per_frame_curve(self.POINTS, "a"))
        # At 18: 59 - 56.8; at 20, a corner of the other curve: 58 2/3 - 56; at 30: 57 - 53.
        assert same.miou == pytest.approx(59 - 56.8)
        assert same.frames_per_s == 18
        other = smallest_lead(ours, per_frame_curve(self.POINTS, "b"))
        # Its best is 58.5 up to 20 frames/s, where propagation has come down to 58 2/3.
        assert other.weights == "b"
        assert other.miou == pytest.approx(59 - 2 / 6 - 58.5)
        assert other.frames_per_s == 20

    def test_a_slow_network_is_no_rival(self) -> None:
        ours = propagation_curve(self.POINTS, "a")[1:]
        assert smallest_lead(ours, [point(5, 90, weights="slow")]).miou is None

    def test_lead_at_interval(self) -> None:
        lead = lead_at_interval(self.POINTS, "a", 4)
        assert lead.miou == pytest.approx(57 - 53)
        assert lead.frames_per_s == 30
        slow = (point(10, 60), point(18, 59, 4))
        assert lead_at_interval(slow, "a", 4).miou is None

    def test_exceptions(self) -> None:
        with pytest.raises(ValueError, match="one input scale"):
            propagation_curve(self.POINTS, "b")
        with pytest.raises(ValueError, match="interval 3"):
            lead_at_interval(self.POINTS, "a", 3)


class TestMeasurement:
    def test_all_are_judged_on_the_same_frames(self, clip: list[LabelledImage]) -> None:
        models = {("a", 1.0): random_model(), ("a", 0.5): random_model(input_scale=0.5)}
        contestants = [Contestant("a", 1.0, 1), Contestant("a", 1.0, 3), Contestant("a", 0.5, 1)]
        accuracy = measure_accuracy(models, contestants, clip)
        result = evaluate_distances(models["a", 1.0], clip, 3)
        assert accuracy[contestants[0]] == pytest.approx(result.average_miou(1))
        assert accuracy[contestants[1]] == pytest.approx(result.average_miou(3))
        small = evaluate_distances(models["a", 0.5], clip[2:], 1)
        assert accuracy[contestants[2]] == pytest.approx(small.average_miou(1))

    def test_turns(self, clip: list[LabelledImage], monkeypatch: pytest.MonkeyPatch) -> None:
        """Whole intervals, each from a keyframe on, in one direction and then in the other."""
        steps: list[int] = []
        step = VideoSegmenter.step

        def recorded(stream: VideoSegmenter, *arguments: object) -> object:
            assert isinstance(stream.options.policy, FixedPolicy)
            steps.append(stream.options.policy.interval)
            return step(stream, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(VideoSegmenter, "step", recorded)
        images = [image for image, _ in clip]
        models = {("a", 1.0): random_model()}
        contestants = [Contestant("a", 1.0, 1), Contestant("a", 1.0, 3)]
        rates = measure_throughput(models, contestants, images, 2, "cpu")
        assert steps == [3, 3, 3, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 1, 1]
        assert all(rate > 0 for rate in rates.values())

    def test_exceptions(self, clip: list[LabelledImage]) -> None:
        models = {("a", 1.0): random_model()}
        contestants = [Contestant("a", 1.0, 8)]
        images = [image for image, _ in clip]
        with pytest.raises(ValueError, match="at least 8 frames"):
            measure_accuracy(models, contestants, clip)
        with pytest.raises(ValueError, match="at least 8 images"):
            measure_throughput(models, contestants, images, 1, "wall")
        with pytest.raises(ValueError, match="at least one repetition"):
            measure_throughput(models, [Contestant("a", 1.0, 2)], images, 0, "wall")


class TestVerb:
    @pytest.fixture
    def data(self, clip: list[LabelledImage], tmp_path: Path) -> Path:
        (tmp_path / "train" / "images").mkdir(parents=True)
        for kind in ("images", "labels"):
            (tmp_path / "val" / kind).mkdir(parents=True)
        for index, (image, labels) in enumerate(clip):
            bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(tmp_path / "val" / "images" / f"{index}.png"), bgr)
            cv2.imwrite(str(tmp_path / "val" / "labels" / f"{index}.png"), labels)
        return tmp_path

    @staticmethod
    def run(*arguments: object) -> None:
        parser = argparse.ArgumentParser()
        verb.add_parser(parser.add_subparsers())
        options = parser.parse_args(["tradeoff", *map(str, arguments)])
        options.run(options)

    def test_writes_table_figures_and_plot(
        self, data: Path, weights_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = data / "other.safetensors"
        shutil.copy(weights_path, other)
        figures, plot = data / "out" / "figures.json", data / "out" / "plot.png"
        self.run(
            *("--data", data, "--weights", weights_path, other, "--scales", 0.5),
            *("--intervals", 2, 4, "--repetitions", 1, "--json", figures, "--plot", plot),
        )
        said = json.loads(figures.read_text())
        per_weights = [(0.5, 1), (1.0, 1), (1.0, 2), (1.0, 4)]
        assert [
            (entry["weights"], entry["scale"], entry["interval"]) for entry in said["points"]
        ] == [(name, *entry) for name in ("random", "other") for entry in per_weights]
        mious = [entry["average_miou"] for entry in said["points"]]
        assert mious[:4] == pytest.approx(mious[4:])
        assert [lead["weights"] for lead in said["smallest_lead"]] == ["random", "other"]
        assert len(said["lead_at_equal_throughput"]) == 2
        assert cv2.imread(str(plot)) is not None
        table = capsys.readouterr().out
        assert table.count("per frame |") == 4
        assert "between interval 2 and 4" in table

    def test_exceptions(self, data: Path, weights_path: Path) -> None:
        with pytest.raises(ValueError, match="one above 1"):
            self.run("--data", data, "--intervals", 1)
        with pytest.raises(ValueError, match="different names"):
            self.run("--data", data, "--weights", weights_path, weights_path)
        keyframe, propagation, info = read_networks(weights_path)
        renamed = dataclasses.replace(info, classes=ClassTable.numbered(11))
        save_model(data / "renamed.safetensors", keyframe, propagation, renamed)
        with pytest.raises(ValueError, match="same classes, got random, renamed"):
            self.run("--data", data, "--weights", weights_path, data / "renamed.safetensors")
