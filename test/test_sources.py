# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Sources of images: order, sizes, labels, ends, and what they refuse."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_lab.data import street_clip
from gsvnet_lab.data.images import BUILT_IN, open_images
from gsvnet_lab.data.street_clip import StreetClip
from street_drive import StreetDrive

HEIGHT, WIDTH = 64, 96


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gsvnet_ros" / "street_clip"


def write_images(folder: Path, names: list[str]) -> list[NDArray[np.uint8]]:
    """Write one random PNG per name and return the images as RGB."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = []
    for name in names:
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        images.append(image)
    return images


def test_folder_counts_numbers_as_numbers(tmp_path: Path) -> None:
    images = write_images(tmp_path / "x", ["frame_9.png", "frame_10.png", "frame_100.png"])
    (tmp_path / "x" / "notes.txt").write_text("no image")
    source = open_images(str(tmp_path / "x"))
    for image, expected in zip(source.images(), images, strict=True):
        np.testing.assert_array_equal(image, expected)
    assert source.is_recording
    assert not source.is_live


def test_folder_finds_images_and_labels(tmp_path: Path) -> None:
    write_images(tmp_path / "clip" / "images", ["a.png", "b.png"])
    labels = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    (tmp_path / "clip" / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "clip" / "labels" / "b.png"), labels)
    source = open_images(str(tmp_path / "clip"))
    assert source.labels(0) is None
    np.testing.assert_array_equal(source.labels(1), labels)


def test_folder_stops_at_the_number_asked_for(tmp_path: Path) -> None:
    write_images(tmp_path / "x", ["1.png", "2.png", "3.png"])
    assert len(list(open_images(str(tmp_path / "x"), num_images=2).images())) == 2


def test_folder_repeats(tmp_path: Path) -> None:
    write_images(tmp_path / "x", ["1.png", "2.png"])
    source = open_images(str(tmp_path / "x"))
    assert len(list(source.images())) == len(list(source.images())) == 2


def test_size_is_height_then_width(tmp_path: Path) -> None:
    write_images(tmp_path / "x", ["1.png"])
    (image,) = open_images(str(tmp_path / "x"), height=30, width=50).images()
    assert image.shape == (30, 50, 3)


def test_video_gives_all_frames_at_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (WIDTH, HEIGHT))
    for shade in range(0, 250, 50):
        writer.write(np.full((HEIGHT, WIDTH, 3), (0, 0, shade), np.uint8))  # BGR: red
    writer.release()
    source = open_images(str(path))
    images = list(source.images())
    assert source.rate_hz == pytest.approx(12.5)
    assert len(images) == 5
    assert images[-1][..., 0].mean() == pytest.approx(200, abs=8)
    assert images[-1][..., 2].mean() < 8
    assert len(list(open_images(str(path), num_images=3).images())) == 3
    assert not source.is_recording


def test_a_cut_video_is_told(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    for _ in range(20):
        writer.write(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    writer.release()
    content = whole.read_bytes()
    (tmp_path / "guessed.mkv").write_bytes(content[: len(content) // 2])
    cut.write_bytes(content[: len(content) // 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(open_images(str(whole)).images())) == 20
        assert len(list(open_images(str(cut), num_images=5).images())) == 5
        assert len(list(open_images(str(tmp_path / "guessed.mkv")).images())) < 20
    with pytest.warns(UserWarning, match=r"frames could be read, the file announces 20"):
        count = len(list(open_images(str(cut)).images()))
    assert 5 < count < 20


def test_a_folder_may_be_called_by_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "00").mkdir()
    cv2.imwrite(str(tmp_path / "00" / "000000.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert len(list(open_images("00").images())) == 1


def test_clip_is_exact_and_rendered_once(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = open_images(BUILT_IN, HEIGHT, WIDTH, num_images=3)
    drive = StreetDrive(street_clip.SEED, HEIGHT, WIDTH, 15.0)
    for index, image in enumerate(source.images()):
        frame = drive.frame(index)
        np.testing.assert_array_equal(image, frame.image)
        np.testing.assert_array_equal(source.labels(index), frame.labels)
    assert index == 2
    assert "rendering" in capsys.readouterr().out
    # A shorter clip, and one played faster, come from the same pictures.
    again = open_images(BUILT_IN, HEIGHT, WIDTH, rate_hz=30.0, num_images=2)
    assert len(list(again.images())) == 2
    assert again.rate_hz == 30.0
    assert "rendering" not in capsys.readouterr().out
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("home", ["", "/proc"])
def test_clips_are_kept_where_there_is_no_home(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose user has none, or one that nobody can write to."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home() -> Path:
        if not home:
            raise RuntimeError("Could not determine home directory.")
        return Path(home)

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert len(list(open_images(BUILT_IN, HEIGHT, WIDTH, num_images=1).images())) == 1
    assert len(list(tmp_path.glob("gsvnet_ros_*/street_clip/*"))) == 1


def test_long_clip_turns_back(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "_MAX_CLIP_BYTES", 3 * 4 * HEIGHT * WIDTH)
    source = StreetClip((HEIGHT, WIDTH), num_images=8)
    images = list(source.images())
    order = [0, 1, 2, 1, 0, 1, 2, 1]
    assert len(images) == 8
    for image, place in zip(images, order, strict=True):
        np.testing.assert_array_equal(image, images[place])
    np.testing.assert_array_equal(source.labels(5), source.labels(1))
    assert not np.array_equal(images[0], images[1])


def test_old_clips_make_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "_MAX_CACHE_BYTES", 10)
    open_images(BUILT_IN, HEIGHT, WIDTH, num_images=1)
    open_images(BUILT_IN, HEIGHT, WIDTH, num_images=2)
    (kept,) = cache.iterdir()
    assert kept.name.endswith("_2")


def test_only_clips_make_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "_MAX_CACHE_BYTES", 10)
    open_images(BUILT_IN, HEIGHT, WIDTH, num_images=1)
    (clip,) = cache.iterdir()
    elsewhere = cache.parent / "elsewhere"
    for folder in (elsewhere, cache / "of_the_user"):
        folder.mkdir()
        (folder / "images.npy").write_bytes(bytes(1000))
    (clip / "note.txt").write_text("kept")
    (cache / "1_a_2x3_4").symlink_to(elsewhere)
    open_images(BUILT_IN, HEIGHT, WIDTH, num_images=2)
    assert not (clip / "images.npy").exists()
    assert (clip / "note.txt").read_text() == "kept"
    assert (cache / "of_the_user" / "images.npy").exists()
    assert (elsewhere / "images.npy").exists()


@pytest.mark.parametrize("planted", ["link", "writable"])
def test_a_folder_that_others_prepared_is_refused(
    planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder, elsewhere = tmp_path / f"gsvnet_ros_{os.getuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if planted == "link":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(ValueError, match=r"only this user may write to.*XDG_CACHE_HOME"):
        open_images(BUILT_IN, HEIGHT, WIDTH, num_images=1)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "no_such_thing.mp4"}, "does not exist"),
        ({"name": BUILT_IN, "height": 360}, "height and width or neither"),
        ({"name": BUILT_IN, "height": 0, "width": 4}, "1x1"),
        ({"name": BUILT_IN, "rate_hz": 0.0}, "rate"),
        ({"name": BUILT_IN, "num_images": 0}, "at least one image"),
        ({"name": "987"}, "camera with number 987"),
    ],
)
def test_exception(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_images(**arguments)  # type: ignore[arg-type]


def test_exception_of_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        open_images(str(tmp_path))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="OpenCV can decode"):
        open_images(str(tmp_path / "text.mp4"))
