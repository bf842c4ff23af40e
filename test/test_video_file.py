# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video files as sources: every frame under its own number, and none that was not stored."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from models import moving_images
from numpy.typing import NDArray
from videos import RATE_HZ, write_video, write_without_start, zero_packet

from gsvnet_offline.sources import Frame, SourceItem, UnreadableFrame, open_source, video_file

COUNT = 20

NEAR = 5.0
"""Grey levels between an image and its compressed copy, mean; two images are further apart."""


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    """Images of which each is known from the others by its brightness."""
    shades = np.roll(np.linspace(0.2, 1.2, COUNT), 7)
    return [
        (shade * (0.3 * image + 90)).astype(np.uint8)
        for shade, image in zip(shades, moving_images(COUNT), strict=True)
    ]


def distance(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(np.int16) - second).mean())


def read(path: Path) -> list[SourceItem]:
    """Return what a file gives, after a check that each number comes once, in order."""
    items = list(open_source(str(path)).frames())
    number = 0
    for item in items:
        assert item.number == number
        number += item.count if isinstance(item, UnreadableFrame) else 1
    return items


def lost(items: Sequence[SourceItem]) -> list[int]:
    """Return the numbers without an image."""
    ranges = [(i.number, i.count) for i in items if isinstance(i, UnreadableFrame)]
    return [number + k for number, count in ranges for k in range(count)]


def check_images(items: Sequence[SourceItem], images: Sequence[NDArray[np.uint8]]) -> None:
    """Check that every frame shows the image of its number."""
    for item in items:
        if isinstance(item, Frame):
            distances = [distance(item.image, image) for image in images]
            assert int(np.argmin(distances)) == item.number
            assert distances[item.number] < NEAR


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("h264.mp4", "libx264", "yuv420p"),
        ("h264.mkv", "libx264", "yuv420p"),
        ("h264.ts", "libx264", "yuv420p"),
        ("ten_bit.mp4", "libx264", "yuv420p10le"),
        ("grey.mkv", "ffv1", "gray"),
        ("hevc.mp4", "libx265", "yuv420p"),
        ("vp8.webm", "libvpx", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("av1.mp4", "libsvtav1", "yuv420p"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
        ("alpha.mov", "prores_ks", "yuva444p10le"),
        ("lossless.mkv", "ffv1", "yuv444p"),
    ],
)
def test_every_frame_of_every_codec(
    name: str, codec: str, pix_fmt: str, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    grey = [np.repeat(i.mean(2, keepdims=True).astype(np.uint8), 3, 2) for i in images]
    shown = grey if pix_fmt == "gray" else images
    items = read(write_video(tmp_path / name, shown, codec, pix_fmt))
    assert not lost(items)
    assert len(items) == COUNT
    check_images(items, shown)
    assert {item.name for item in items} == {name}
    stamps = np.array([item.stamp_s for item in items], float)
    np.testing.assert_allclose(np.diff(stamps), 1 / RATE_HZ, atol=1e-3)


def test_odd_sizes(tmp_path: Path) -> None:
    images = moving_images(3, 95, 127)
    items = read(write_video(tmp_path / "odd.mkv", images, "ffv1", "yuv444p"))
    assert [item.image.shape for item in items if isinstance(item, Frame)] == [(95, 127, 3)] * 3
    check_images(items, images)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "prores_ks", "dvvideo"])
def test_interlaced_video_has_no_comb(codec: str, tmp_path: Path) -> None:
    """Odd and even rows show a bar at two places, as a camera that reads them in turns does."""
    height, width = (576, 720) if codec == "dvvideo" else (96, 128)

    def half(moment: int) -> NDArray[np.uint8]:
        image = np.full((height, width, 3), 60, np.uint8)
        image[:, 20 + 4 * moment : 50 + 4 * moment] = 200
        return image

    woven = [half(2 * index) for index in range(8)]
    for index, image in enumerate(woven):
        image[1::2] = half(2 * index + 1)[1::2]
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = write_video(tmp_path / "clip.mov", woven, codec, pix_fmt, interlaced=True)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0))
        assert stored.interlaced_frame
        comb = np.asarray(stored.to_ndarray(format="rgb24"), np.uint8)
    items = read(path)
    assert not lost(items)
    assert len(items) == len(woven)
    for item in items:
        assert isinstance(item, Frame)
        # The bar is where one half of the rows had it.
        moments = (2 * item.number, 2 * item.number + 1)
        assert min(distance(item.image, half(moment)) for moment in moments) < 6
        assert _combing(item.image) < 0.2 * _combing(comb)


def _combing(image: NDArray[np.uint8]) -> float:
    """Return how much rows differ from their neighbours, which a vertical bar's do not."""
    grey = image[8:-8].mean(2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def test_progressive_frames_are_left_as_they_are(
    images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "clip.mp4", images)
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for item, expected in zip(read(path), decoded, strict=True):
        assert isinstance(item, Frame)
        np.testing.assert_array_equal(item.image, expected)


@pytest.mark.parametrize("place", [0, 7, COUNT - 1])
def test_an_undecodable_frame_keeps_its_number(
    place: int, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "clip.avi", images, "mjpeg", "yuvj420p")
    zero_packet(path, place)
    items = read(path)
    assert lost(items) == [place]
    assert len(items) == COUNT
    check_images(items, images)
    (frame,) = (item for item in items if isinstance(item, UnreadableFrame))
    assert frame.stamp_s == pytest.approx(place / RATE_HZ)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx264", "clip.mp4"),
        ("libx265", "clip.mp4"),
        ("mpeg2video", "clip.mkv"),
        ("mpeg4", "clip.avi"),
        ("libvpx-vp9", "clip.webm"),
    ],
)
@pytest.mark.parametrize("place", [0, 7, 8, 9, 13])
def test_what_is_predicted_from_a_lost_frame_is_lost_too(
    codec: str, name: str, place: int, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """Decoders give a smear of the frames before it out as a picture."""
    options = {"bf": "2"} if codec == "mpeg2video" else {}
    path = write_video(tmp_path / name, images, codec, options=options)
    zero_packet(path, place)
    items = read(path)
    assert 1 <= len(lost(items)) <= 12  # two groups of pictures at most
    assert len(lost(items)) + sum(isinstance(item, Frame) for item in items) == COUNT
    check_images(items, images)


@pytest.mark.parametrize(
    ("codec", "name"),
    [("mpeg2video", "ts"), ("libx264", "ts"), ("mpeg4", "mkv"), ("libvpx", "mkv")],
)
def test_what_comes_before_the_first_whole_frame_is_lost(
    codec: str, name: str, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """As where a recorder was switched on in the middle of a stream: a decoder gives out grey."""
    no_cuts = "0" if codec == "libx264" else "1000000000"
    options = {"sc_threshold": no_cuts, "bf": "0"}
    whole = write_video(tmp_path / f"whole.{name}", images, codec, options=options)
    items = read(write_without_start(whole, tmp_path / f"late.{name}", 2))
    assert lost(items) == [0, 1, 2, 3]  # number 4 was 6, the second keyframe
    check_images(items, images[2:])


def test_a_recorder_that_dropped_a_frame(images: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    """AVI marks it by an empty chunk; later frames keep their numbers."""
    path = write_video(tmp_path / "clip.avi", images, "mjpeg", "yuvj420p")
    content = bytearray(path.read_bytes())
    place = content.find(b"movi") + 4
    for _ in range(5):
        (size,) = struct.unpack_from("<I", content, place + 4)
        place += 8 + size + size % 2
    (size,) = struct.unpack_from("<I", content, place + 4)
    struct.pack_into("<I4sI", content, place + 4, 0, b"JUNK", size + size % 2 - 8)
    struct.pack_into("<I", content, content.rfind(b"idx1") + 8 + 16 * 5 + 12, 0)
    path.write_bytes(content)
    items = read(path)
    assert lost(items) == [5]
    assert len(items) == COUNT
    check_images(items, images)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.ts", "libx264"),
        ("clip.webm", "libvpx-vp9"),
        ("clip.avi", "mjpeg"),
    ],
)
@pytest.mark.parametrize("share", [0.45, 0.6, 0.81])
def test_a_cut_file_says_so(
    name: str, codec: str, share: float, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / name, images, codec, pix_fmt, movflags="faststart")
    assert not lost(read(path))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    items = read(path)
    check_images(items, images)
    assert isinstance(items[-1], UnreadableFrame)
    assert "cut" in items[-1].reason
    if name != "clip.ts":  # which announces nothing
        assert len(lost(items)) + sum(isinstance(item, Frame) for item in items) == COUNT


def test_time_stamps_of_a_variable_rate_are_kept(
    images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    stamps = [index / 10 + (2.0 if index > 6 else 0.0) + index**2 / 100 for index in range(COUNT)]
    items = read(write_video(tmp_path / "clip.mp4", images, stamps_s=stamps))
    assert [item.stamp_s for item in items] == pytest.approx(stamps, abs=1e-4)
    check_images(items, images)


@pytest.mark.parametrize("first", [3, 8, 13])
def test_a_trimmed_video_begins_where_it_is_shown(
    first: int, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """Phones trim without encoding anew: frames before the start are stored, but not shown."""
    whole = write_video(tmp_path / "whole.mp4", images)
    options = {"avoid_negative_ts": "disabled"}
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "clip.mp4"), "w", options=options) as container,
    ):
        stream = source.streams.video[0]
        copy = container.add_stream_from_template(stream)
        unit = stream.time_base
        assert unit is not None
        for packet in source.demux(stream):
            if packet.pts is not None and packet.dts is not None:
                packet.pts -= round(first / RATE_HZ / unit)
                packet.dts -= round(first / RATE_HZ / unit)
                packet.stream = copy
                container.mux(packet)
    items = read(tmp_path / "clip.mp4")
    assert not lost(items)
    assert items[0].stamp_s == 0
    check_images(items, images[first:])
    assert len(items) == COUNT - first


IDENTITY = (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        (IDENTITY, lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ],
)
def test_images_are_upright(
    matrix: tuple[int, int, int, int],
    turned: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    """The matrix of a track says where the pixel (x, y) goes: (a x + c y, b x + d y)."""

    def stored(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    image = np.full((96, 128, 3), 60, np.uint8)
    image[:40, :60] = 220  # which corner is which
    path = write_video(tmp_path / "clip.mp4", [image])
    content = path.read_bytes()
    track = content.find(b"tkhd")
    place = content.find(stored(*IDENTITY), track)
    path.write_bytes(content[:place] + stored(*matrix) + content[place + 36 :])
    (item,) = read(path)
    assert isinstance(item, Frame)
    expected = turned(image)
    assert item.image.shape == expected.shape
    assert distance(item.image, expected) < NEAR


def test_the_number_of_frames_is_bounded(images: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", images)
    source = open_source(str(path), num_images=3)
    assert [item.number for item in source.frames()] == [0, 1, 2]
    assert source.num_frames == 3


def test_a_name_that_is_not_utf8(images: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    path = tmp_path / "clip\udcff.mp4"
    write_video(tmp_path / "clip.mp4", images).rename(path)
    assert len(read(path)) == COUNT


def test_a_name_like_a_url(
    images: list[NDArray[np.uint8]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", images).rename("http:clip.mp4")
    assert len(read(Path("http:clip.mp4"))) == COUNT


def test_exception_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"with a video stream, got .* of type: audio"):
        open_source(str(path))


def test_exception_of_what_is_no_video(tmp_path: Path) -> None:
    for content in (b"", b"text", bytes(1000)):
        (tmp_path / "clip.mp4").write_bytes(content)
        with pytest.raises(ValueError, match="video file that FFmpeg can read"):
            open_source(str(tmp_path / "clip.mp4"))


def test_exception_of_a_pipe(tmp_path: Path) -> None:
    """Opening one would wait for somebody to write to it."""
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match="expected a regular file"):
        open_source(str(tmp_path / "clip.mp4"))
    with pytest.raises(ValueError, match="expected a regular file"):
        open_source("/dev/zero")


def test_exception_of_a_size(
    images: list[NDArray[np.uint8]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "clip.mp4", images)
    monkeypatch.setattr(video_file, "MAX_PIXELS", 96 * 128 - 1)
    with pytest.raises(ValueError, match=r"1 to 12287 pixels per frame, got .* of 128x96"):
        open_source(str(path))
