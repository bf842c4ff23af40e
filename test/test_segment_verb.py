# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet segment`: what it writes, what it says, and that it overwrites nothing."""

from __future__ import annotations

import csv
import io
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from models import moving_images
from numpy.typing import NDArray
from videos import stamps_of, write_video, zero_packet

from gsvnet_lab.cli import main
from gsvnet_lab.cli import segment as segment_verb
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_model import VideoSegmenter, load_model
from gsvnet_offline.sources import Frame, open_source, readable_frames
from gsvnet_offline.sources.label_png import read_labels
from street_drive import StreetDrive


def segment(weights: Path, source: Path, output: Path, *more: str) -> int:
    given = ["segment", str(source), "--output", str(output), "--weights", str(weights)]
    return main([*given, "--device", "cpu", "--interval", "2", *more])


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "frames.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def label_names(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "labels").iterdir())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    for index, image in enumerate(moving_images(3)):
        cv2.imwrite(str(folder / f"{index:06d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


def test_labels_are_those_of_the_stream(images: Path, weights_path: Path, tmp_path: Path) -> None:
    assert segment(weights_path, images, tmp_path / "out") == 0
    stream = VideoSegmenter(load_model(weights_path, "cpu"), 2)
    for index, (image, row) in enumerate(
        zip(moving_images(3), rows(tmp_path / "out"), strict=True)
    ):
        step = stream.step(image)
        for folder, expected in (("labels", step.labels), ("confidence", step.confidence)):
            written = read_labels(tmp_path / "out" / folder / f"{index:06d}.png")
            np.testing.assert_array_equal(written, expected)
        assert row == {
            "index": str(index),
            "source_name": f"{index:06d}.png",
            "stamp_s": "",
            "keyframe": str(int(step.is_keyframe)),
            "age": str(step.keyframe_age),
            "reason": step.reason,
            "mean_confidence": f"{step.confidence.mean() / 255:.4f}",
            "status": "labelled",
        }
    assert len(stamps_of(tmp_path / "out" / "overlay.mp4")) == 3


def test_the_overlay_has_the_time_stamps_of_its_source(weights_path: Path, tmp_path: Path) -> None:
    stamps = [0.0, 0.1, 0.15, 1.2, 1.3]
    video = write_video(tmp_path / "clip.mp4", moving_images(5), stamps_s=stamps)
    assert segment(weights_path, video, tmp_path / "out") == 0
    assert stamps_of(tmp_path / "out" / "overlay.mp4") == pytest.approx(stamps, abs=1e-4)
    assert [float(row["stamp_s"]) for row in rows(tmp_path / "out")] == pytest.approx(stamps)


def test_a_lost_frame_keeps_its_number(
    weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "clip.avi", moving_images(6), "mjpeg", "yuvj420p")
    zero_packet(video, 3)
    assert segment(weights_path, video, tmp_path / "out") == 0
    assert label_names(tmp_path / "out") == [f"00000{k}.png" for k in (0, 1, 2, 4, 5)]
    said = capsys.readouterr()
    assert "5 frames labelled" in said.out
    last = said.err.splitlines()[-1]
    assert last == ("gsvnet: 1 of 6 frames have no labels: 3 of clip.avi (it could not be decoded)")
    table = rows(tmp_path / "out")
    assert [row["status"] for row in table][2:4] == ["labelled", "it could not be decoded"]
    # The rest comes when it did.
    assert stamps_of(tmp_path / "out" / "overlay.mp4")[3] == pytest.approx(4 / 15)


def test_a_bad_image_does_not_end_a_folder(
    images: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "000001.png").write_bytes(b"no image")
    (images / "000002.png").rename(images / "10\udcff\n.png")
    (images / "._000000.png").write_bytes(b"resource fork")
    assert segment(weights_path, images, tmp_path / "out") == 0
    assert label_names(tmp_path / "out") == ["000000.png", "000002.png"]
    assert "1 of 3 frames have no labels: 1 of 000001.png (exp" in capsys.readouterr().err
    assert [row["source_name"] for row in rows(tmp_path / "out")] == [
        "000000.png",
        "000001.png",
        r"10\xff\n.png",
    ]


def test_an_output_that_is_not_utf8(images: Path, weights_path: Path, tmp_path: Path) -> None:
    assert segment(weights_path, images, tmp_path / "out\udcff") == 0
    assert len(label_names(tmp_path / "out\udcff")) == 3


def test_results_can_be_left_out(
    images: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(weights_path, images, tmp_path / "out", "--no-overlay", "--no-confidence") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frames.csv", "labels"]
    assert "3 frames labelled; labels and frames.csv: " in capsys.readouterr().out


def test_nothing_is_overwritten(
    images: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither labels beside the images, nor the source, nor results of before."""
    truth = images.parent / "labels"
    truth.mkdir()
    (truth / "000000.png").write_bytes(b"by hand")
    assert segment(weights_path, images, images.parent) == 2
    assert "has labels; name another" in capsys.readouterr().err
    assert (truth / "000000.png").read_bytes() == b"by hand"
    (tmp_path / "out" / "labels").mkdir(parents=True)  # all that a failed call has left
    assert segment(weights_path, images, tmp_path / "out") == 0
    video = tmp_path / "out" / "overlay.mp4"
    before = video.read_bytes()
    assert segment(weights_path, video, tmp_path / "out") == 2
    assert "has overlay.mp4, frames.csv, labels, confidence" in capsys.readouterr().err
    assert video.read_bytes() == before


def test_exception_where_nothing_can_be_labelled(
    images: Path, weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {path: path.read_bytes() for path in images.iterdir()}
    for path in whole:
        path.write_bytes(b"no image")
    assert segment(weights_path, images, tmp_path / "out") == 2
    assert "there is none; the first: expected a PNG" in capsys.readouterr().err
    for path, content in whole.items():
        path.write_bytes(content)
    assert segment(weights_path, images, tmp_path / "out") == 0


@pytest.mark.parametrize("num_bytes", [0, 300, 3000])
def test_exception_of_a_full_disk(
    num_bytes: int,
    weights_path: Path,
    tmp_path: Path,
) -> None:
    """Too small for the table, for a label image, for the overlay."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 96, 128, 3), np.uint8)
    video = write_video(tmp_path / "clip.avi", list(noise), "mjpeg", "yuvj420p")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        # What pytest captures would be a file as well.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
            assert segment(weights_path, video, tmp_path / "out") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written: File too large" in said.getvalue()
    if (tmp_path / "out" / "labels").is_dir():
        for path in (tmp_path / "out" / "labels").iterdir():
            assert read_labels(path).shape == (96, 128)


class Interrupted:
    """A source in whose third frame a signal comes."""

    is_live = False
    is_recording = True
    rate_hz = 15.0
    num_frames: int | None = 6

    def __init__(self, number: signal.Signals) -> None:
        self._signal = number

    def frames(self) -> Iterator[Frame]:
        for number, image in enumerate(moving_images(6)):
            if number == 2:
                os.kill(os.getpid(), self._signal)
            yield Frame(number, None, "", image)

    def labels(self, number: int) -> NDArray[np.uint8] | None:
        return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_in_order(
    number: signal.Signals,
    weights_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(segment_verb, "open_images", lambda *_, **__: Interrupted(number))
    with pytest.raises(SystemExit) as ended:
        segment(weights_path, tmp_path, tmp_path / "out")
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before
    said = capsys.readouterr()
    assert "2 frames labelled" in said.out
    assert f"stopped by {number.name}" in said.err
    assert label_names(tmp_path / "out") == ["000000.png", "000001.png"]
    assert len(stamps_of(tmp_path / "out" / "overlay.mp4")) == 2
    assert len(rows(tmp_path / "out")) == 2


def test_a_large_image_costs_the_overlay_its_size_only(
    weights_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((40, 8192, 3), np.uint8))
    assert segment(weights_path, tmp_path / "images", tmp_path / "out") == 0
    assert read_labels(tmp_path / "out" / "labels" / "000000.png").shape == (40, 8192)
    assert "overlay.mp4 is scaled down to 4096x20" in capsys.readouterr().out


def test_labels_of_interlaced_video(tmp_path: Path) -> None:
    """Those of the progressive frames, within a point of accuracy."""
    drive = StreetDrive(9, 192, 256, 15.0)
    frames = [drive.frame(index) for index in range(10)]
    video = write_video(tmp_path / "clip.mp4", [frame.image for frame in frames], interlaced=True)
    with av.open(str(video)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    model = load_model(None, "cpu")
    scores = []
    stored = [frame.image for frame in readable_frames(open_source(str(video)))]
    for shown in ([frame.image for frame in frames], stored):
        stream, confusion = VideoSegmenter(model, 5), ConfusionMatrix(11)
        for image, frame in zip(shown, frames, strict=True):
            confusion.update(stream.step(image).labels, frame.labels)
        scores.append(confusion.pixel_accuracy())
    assert abs(scores[0] - scores[1]) < 1
