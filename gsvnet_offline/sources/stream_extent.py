# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""How many frames a video file announces, and what is missing of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

import av

_TS_PACKET_BYTES = (188, 192)
"""A transport stream is made of packets of one of these sizes."""

_SAYS_DURATION = ("matroska", "flv")
"""Containers that store their duration. In others FFmpeg estimates it from what is there."""


class StreamExtent:
    """Compares what a video stream announces with the packets that were found.

    Args:
        container: of the file.
        stream: the video stream that is read.

    Attributes:
        is_cut: whether the file ends before what it announces; known when all packets were read.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._num_packets = 0
        self._num_hidden = 0
        self._last_pts: int | None = None
        self._error = ""
        self.is_cut = False
        # AVI numbers its packets; where a recorder had no frame, the packet is empty.
        codec = stream.codec_context.codec
        self._is_numbered = container.format.name == "avi" and codec.intra_only
        # It announces nothing, but ends in the middle of a packet where it was cut.
        self._ends_inside = container.format.name == "mpegts" and all(
            container.size % num_bytes for num_bytes in _TS_PACKET_BYTES
        )

    def counted(
        self, packets: Iterable[av.Packet[av.VideoStream]]
    ) -> Iterator[av.Packet[av.VideoStream]]:
        """Return the packets that hold data, and note why there are no more.

        Args:
            packets: of the stream, in the order of the file.
        """
        held: av.Packet[av.VideoStream] | None = None
        try:
            for packet in packets:
                if packet.size:  # an empty one would end the decoder
                    self._num_packets += 1
                    self._num_hidden += packet.is_discard
                    if packet.pts is not None:
                        self._last_pts = max(packet.pts, self._last_pts or packet.pts)
                    if held is not None:
                        yield held
                    held = packet
        except av.FFmpegError as error:
            self._error = error.strerror or str(error)
        num_frames = self._num_packets - self._num_hidden
        self.is_cut = self._ends_inside or self.missing(num_frames, self._last_pts)[0] > 0
        if held is not None:
            held.is_corrupt = held.is_corrupt or self._ends_inside
            yield held

    def num_skipped(self, before: int | None, current: int | None) -> int:
        """Return how many frames are missing between two that follow each other.

        At the end of a cut file these are frames that are shown before the last ones, but
        stored after them.

        Args:
            before: presentation time of the first, in units of the stream; None if unknown.
            current: presentation time of the second.
        """
        rate, unit = self._stream.average_rate, self._stream.time_base
        if before is None or current is None or not rate or not unit:
            return 0
        if not (self._is_numbered or self.is_cut):
            return 0
        return max(0, round((current - before) * unit * rate) - 1)

    def missing(self, num_frames: int, last_pts: int | None) -> tuple[int, str]:
        """Return how many frames are missing at the end of the file, and why.

        Args:
            num_frames: number of frames that are accounted for.
            last_pts: presentation time of the last one, in units of the stream.
        """
        announced = self._announced()
        if announced:
            reason = f"the file announces {announced} frames and ends before; is it cut?"
            return max(0, announced - num_frames), reason
        end_s, rate, unit = (
            self._announced_end_s(),
            self._stream.average_rate,
            self._stream.time_base,
        )
        if end_s is not None and last_pts is not None and rate and unit:
            last_s = float(last_pts * unit)
            missing = round((end_s - last_s) * rate) - 1
            if missing > 0:
                return missing, f"the file announces {end_s:.1f} s and ends before; is it cut?"
        return int(bool(self._error)), f"reading ended here: {self._error}"

    def _announced(self) -> int:
        """Return the number of frames to show according to the header, 0 where it says none."""
        if "mp4" not in self._container.format.name:
            return self._stream.frames
        # The index leaves out most of what an edit list cuts off; the number of frames does not.
        return sum(not entry.is_discard for entry in self._stream.index_entries)

    def _announced_end_s(self) -> float | None:
        """Return when the stream ends according to the header, seconds; None if it says nothing."""
        if not self._container.format.name.startswith(_SAYS_DURATION):
            return None
        hours, _, rest = self._stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            span = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
            return span.total_seconds()
        except ValueError:
            pass
        # Of the whole file: sound may go on after the last image.
        if len(self._container.streams) > 1 or self._container.duration is None:
            return None
        return (self._container.duration + (self._container.start_time or 0)) / 1e6
