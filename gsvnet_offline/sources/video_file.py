# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Video files as sources, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av

from gsvnet_model.images.resize import Size, resize_image
from gsvnet_offline.names import printable_name
from gsvnet_offline.sources.deinterlace import deinterlaced
from gsvnet_offline.sources.picture import upright_rgb
from gsvnet_offline.sources.presentation import Presentation, Presented
from gsvnet_offline.sources.regular_file import open_regular_file
from gsvnet_offline.sources.source import (
    DEFAULT_RATE_HZ,
    MAX_PIXELS,
    MAX_RATE_HZ,
    Frame,
    SourceItem,
    UnreadableFrame,
    first_frames,
)
from gsvnet_offline.sources.stream_extent import StreamExtent

_INVISIBLE_VP8 = 0x10
"""Bit of the first byte of a VP8 packet; where it is 0, the packet holds no frame to show."""


class VideoFile:
    """The frames of a video file, upright, progressive, with the time stamps of the file.

    Args:
        path: of the file.
        size: (height, width) to resize to, or None.
        rate_hz: images per second; None takes the file's mean rate.
        num_images: at most this many.

    Raises:
        ValueError: if FFmpeg cannot read the file, or it has no video stream that can be decoded.
        OSError: if the file cannot be opened.
    """

    is_live = False
    is_recording = False

    def __init__(
        self,
        path: Path,
        size: Size | None = None,
        rate_hz: float | None = None,
        num_images: int | None = None,
    ) -> None:
        self._path = path
        self._size = size
        self._num_images = num_images
        with _opened(path) as container:
            stream = _video_stream(container, path)
            own_rate_hz = float(stream.average_rate or stream.guessed_rate or 0)
            announced = stream.frames or None
        self.rate_hz = rate_hz or (
            own_rate_hz if 0 < own_rate_hz <= MAX_RATE_HZ else DEFAULT_RATE_HZ
        )
        self.num_frames = (
            announced if num_images is None else min(announced or num_images, num_images)
        )

    def frames(self) -> Iterator[SourceItem]:
        """Return the frames from the start.

        A frame that cannot be decoded keeps its number, and so do those that are predicted from
        it. Frames that the file announces beyond its end are returned as unreadable ones.
        """
        return first_frames(self._frames(), self._num_images)

    def labels(self, number: int) -> None:
        """Return None: a video file has no labels."""

    def _frames(self) -> Iterator[SourceItem]:
        name = self._path.name
        with _opened(self._path) as container:
            stream = _video_stream(container, self._path)
            extent = StreamExtent(container, stream)
            number, last = 0, None
            for item in deinterlaced(_decoded(container, stream, extent), stream):
                skipped = extent.num_skipped(last, item.pts)
                if skipped:
                    yield UnreadableFrame(number, None, name, "no picture is stored", skipped)
                    number += skipped
                if item.problem and extent.is_cut:
                    item = replace(item, problem=f"{item.problem}; is the file cut?")
                yield self._item(number, item, stream)
                number += 1
                last = last if item.pts is None else item.pts
            missing, reason = extent.missing(number, last)
            if missing:
                yield UnreadableFrame(number, None, name, reason, missing)

    def _item(self, number: int, item: Presented, stream: av.VideoStream) -> SourceItem:
        stamp_s = None
        if item.pts is not None and stream.time_base is not None:
            stamp_s = float(item.pts * stream.time_base)
        if item.frame is None:
            return UnreadableFrame(number, stamp_s, self._path.name, item.problem)
        image = resize_image(upright_rgb(item.frame), self._size)
        return Frame(number, stamp_s, self._path.name, image)


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream, extent: StreamExtent
) -> Iterator[Presented]:
    """Return the frames of a stream in the order of presentation.

    Args:
        container: of the file, at its start.
        stream: to decode.
        extent: is told of every packet.
    """
    codec = stream.codec_context.codec
    is_vp8 = codec.canonical_name == "vp8"
    presentation = Presentation(codec.canonical_name, codec.intra_only)
    for packet in extent.counted(container.demux(stream)):
        if not is_vp8 or bytes(packet)[0] & _INVISIBLE_VP8:
            presentation.send(packet)
        try:
            for frame in stream.codec_context.decode(packet):
                presentation.receive(frame)
        except av.FFmpegError:
            presentation.fail()
        yield from presentation.ready()
    # What does not come out now is counted as lost.
    with contextlib.suppress(av.FFmpegError):
        for frame in stream.codec_context.decode(None):
            presentation.receive(frame)
    yield from presentation.finish()


def _opened(path: Path) -> av.container.InputContainer:
    """Open a container.

    Raises:
        ValueError: if it is no regular file or none that FFmpeg knows.
        OSError: if the file cannot be opened.
    """
    open_regular_file(path).close()
    try:
        # The protocol is named because a file may be called like a URL.
        return av.open(f"file:{path}", metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(
            f"expected a video file that FFmpeg can read, got {printable_name(path)}: "
            f"{error.strerror}; is it whole?"
        ) from None


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """Return the stream to decode, set up.

    Raises:
        ValueError: if there is none, or its images are too large.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise ValueError(
            f"expected a file with a video stream, got {printable_name(path)} with streams of "
            f"type: {found}"
        )
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise ValueError(
            f"expected a video codec that FFmpeg knows, got another in {printable_name(path)}"
        )
    if not 1 <= context.width * context.height <= MAX_PIXELS:
        raise ValueError(
            f"expected a video of 1 to {MAX_PIXELS} pixels per frame, got {printable_name(path)} "
            f"of {context.width}x{context.height}"
        )
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream
