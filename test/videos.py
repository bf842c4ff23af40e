# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""For the tests: small videos, whole and damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 15
TICKS_HZ = 90_000

_BIT_RATE = 4_000_000
"""For images that are small: little is lost."""

_INTERLACED = av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me


def write_video(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    gop_size: int = 6,
    interlaced: bool = False,
    stamps_s: Sequence[float] | None = None,
    movflags: str = "",
) -> Path:
    """Write images (H, W, 3) uint8 RGB as a video of `RATE_HZ` or of given time stamps."""
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=RATE_HZ, options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop_size
        stream.bit_rate = _BIT_RATE
        if stamps_s is not None:
            stream.codec_context.time_base = Fraction(1, TICKS_HZ)
        if interlaced:
            stream.codec_context.flags |= _INTERLACED
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps_s is not None:
                frame.pts = round(stamps_s[index] * TICKS_HZ)
                frame.time_base = Fraction(1, TICKS_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def zero_packet(path: Path, index: int) -> None:
    """Overwrite a packet of a video with zeros, where it lies in the file.

    Args:
        path: of a file that stores packets in one piece: not of a transport stream.
        index: of the packet, in the order of decoding.
    """
    with av.open(str(path)) as container:
        packet = bytes([packet for packet in container.demux(video=0) if packet.size][index])
    content = path.read_bytes()
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, bytes(len(packet))))


def write_without_start(whole: Path, late: Path, first: int) -> Path:
    """Copy a video from a packet on, as where a recorder was switched on in between."""
    with av.open(str(whole)) as source, av.open(str(late), "w") as container:
        stream = source.streams.video[0]
        copy = container.add_stream_from_template(stream)
        for index, packet in enumerate(source.demux(stream)):
            if packet.size and index >= first:
                packet.stream = copy
                container.mux(packet)
    return late


def stamps_of(path: Path) -> list[float]:
    """Return when each frame of a video is shown, seconds, by decoding it."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]
