# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The overlay video: it plays, lasts as long as its source, and is never half a file."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from models import moving_images
from videos import stamps_of

from gsvnet_offline.writers.h264_video import MAX_PIXELS, PLAYABLE_RATE_HZ, H264Video


def boxes(path: Path) -> list[str]:
    """Return the top-level parts of an MP4."""
    content, place, found = path.read_bytes(), 0, []
    while place < len(content):
        found.append(content[place + 4 : place + 8].decode("ascii"))
        place += int.from_bytes(content[place : place + 4], "big")
    return found


def test_browsers_play_it(tmp_path: Path) -> None:
    images = moving_images(40)
    with H264Video(tmp_path / "clip.mp4", 25) as video:
        for image in images:
            video.write(image)
    assert not video.notes
    with av.open(str(tmp_path / "clip.mp4")) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (128, 96)
        assert stream.average_rate == 25
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(40 / 25)
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert sum(packet.is_keyframe for packet in _packets(tmp_path / "clip.mp4")) == 1
    assert len(decoded) == 40
    for image, copy in zip(images, decoded, strict=True):
        assert np.abs(image.astype(int) - copy).mean() < 15
    # An ordinary index, by which a player finds every frame.
    assert "moov" in boxes(tmp_path / "clip.mp4")
    assert "moof" not in boxes(tmp_path / "clip.mp4")


def _packets(path: Path) -> list[av.Packet[av.VideoStream]]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def test_time_stamps_are_kept(tmp_path: Path) -> None:
    stamps = [7.0, 7.1, 7.15, 9.5, 9.6]
    with H264Video(tmp_path / "clip.mp4", 10) as video:
        for image, stamp_s in zip(moving_images(5), stamps, strict=True):
            video.write(image, stamp_s)
    assert stamps_of(tmp_path / "clip.mp4") == pytest.approx(np.array(stamps) - 7, abs=1e-4)


def test_a_clock_that_is_set_back_or_far_ahead(tmp_path: Path) -> None:
    with H264Video(tmp_path / "clip.mp4", 10) as video:
        for image, stamp_s in zip(moving_images(6), (5, 5.1, 1, 1.1, 1e6, 1e6), strict=True):
            video.write(image, stamp_s)
    assert stamps_of(tmp_path / "clip.mp4") == pytest.approx(np.arange(6) / 10, abs=1e-4)


def test_a_source_that_is_too_slow_to_watch(tmp_path: Path) -> None:
    with H264Video(tmp_path / "clip.mp4", 1 / 3600) as video:
        for index, image in enumerate(moving_images(4)):
            video.write(image, 3600.0 * index)
    assert stamps_of(tmp_path / "clip.mp4") == pytest.approx(np.arange(4) / PLAYABLE_RATE_HZ)
    assert video.notes == ["clip.mp4 is played at 15 Hz: the source has a frame every 3600 s"]


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((95, 127), (96, 128)),
        ((1, 1), (2, 2)),
        ((4096, 8192), (2048, 4096)),
        ((8192, 8192), (3072, 3072)),
        ((9, 5000), (6, 4096)),
    ],
)
def test_every_size_is_written(
    shape: tuple[int, int], stored: tuple[int, int], tmp_path: Path
) -> None:
    with H264Video(tmp_path / "clip.mp4", 15) as video:
        video.write(np.full((*shape, 3), 128, np.uint8))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        (frame,) = container.decode(video=0)
    assert (frame.height, frame.width) == stored
    assert frame.height * frame.width <= MAX_PIXELS
    assert bool(video.notes) == (max(shape) > 4096)
    if video.notes:
        (note,) = video.notes
        assert f"scaled down to {stored[1]}x{stored[0]}" in note


def test_images_of_another_size_are_resized(tmp_path: Path) -> None:
    with H264Video(tmp_path / "clip.mp4", 15) as video:
        for size in ((96, 128), (48, 64), (101, 33)):
            video.write(np.full((*size, 3), 200, np.uint8))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        sizes = [(frame.height, frame.width) for frame in container.decode(video=0)]
    assert sizes == [(96, 128)] * 3


def test_what_a_killed_process_leaves_plays(tmp_path: Path) -> None:
    video = H264Video(tmp_path / "clip.mp4", 15)
    for count, image in enumerate(moving_images(12), 1):
        video.write(image)
        # As the file is at this moment, and with the start of a part that is not whole.
        for left in (b"", bytes(700)):
            (tmp_path / "left.mp4").write_bytes((tmp_path / "clip.mp4").read_bytes() + left)
            if count > 3:
                assert len(stamps_of(tmp_path / "left.mp4")) >= count - 3
    with video:
        pass
    assert len(stamps_of(tmp_path / "clip.mp4")) == 12


def test_an_error_of_the_caller_leaves_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), H264Video(tmp_path / "clip.mp4", 15) as video:
        for image in moving_images(12):
            video.write(image)
        raise RuntimeError
    assert len(stamps_of(tmp_path / "clip.mp4")) >= 9


@contextlib.contextmanager
def file_limit(num_bytes: int) -> Iterator[None]:
    """Make every file of this process end at a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.95, 0.97, 0.98, 0.99, 0.999])
def test_exception_of_a_full_disk(share: float, tmp_path: Path) -> None:
    """Wherever the room ends, in a frame or in the index, what was there before it plays."""
    images = moving_images(30)

    def write(path: Path) -> None:
        with H264Video(path, 15) as video:
            for image in images:
                video.write(image)

    write(tmp_path / "whole.mp4")
    limit = int(share * (tmp_path / "whole.mp4").stat().st_size)
    with file_limit(limit), pytest.raises(OSError, match="File too large"):
        write(tmp_path / "limited.mp4")
    assert (tmp_path / "limited.mp4").stat().st_size <= limit
    assert len(stamps_of(tmp_path / "limited.mp4")) >= 30 * share - 5
    write(tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_exception_of_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "clip.mp4").symlink_to("precious")
    with pytest.raises(OSError, match="exists"):
        H264Video(tmp_path / "clip.mp4", 15)
    assert (tmp_path / "precious").read_bytes() == b"precious"
