# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Videos that browsers play: H.264 in MP4, encoded by x264 through PyAV."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from gsvnet_model.images.resize import Size, resize_image

PLAYABLE_RATE_HZ = 15.0
"""Rate at which a video is written whose source has less than `MIN_RATE_HZ`."""

MIN_RATE_HZ = 1.0

MAX_SIDE_PX = 4096
MAX_PIXELS = 4096 * 2304
"""H.264's level 5.2, the largest that browsers and their hardware decoders play."""

_TICKS_HZ = 90_000
_MAX_STEP_S = 3600.0
"""A longer step between two frames is taken for a clock that was set."""

_BT709 = 1
_LIMITED_RANGE = 1
_GROUP_S = 2.0
"""Every so often a frame is stored whole, so that a player can jump there."""

# Every frame is a fragment of its own, which is complete in the file when the next one is written:
# a process that is killed leaves a video that plays. Finishing it adds an ordinary index.
_CONTAINER_OPTIONS = {
    "movflags": "hybrid_fragmented+frag_every_frame",
    "flush_packets": "1",
}

# One thread and no look-ahead: the same bytes on every machine, and no frame is held back.
_ENCODER_OPTIONS = {
    "preset": "veryfast",
    "crf": "23",
    "x264-params": "threads=1:rc-lookahead=0:sync-lookahead=0:mbtree=0:bframes=0",
}


class H264Video:
    """An .mp4 file that is written frame by frame; use it in a `with` statement.

    The first frame decides the size: an odd side gets its last row or column twice, since H.264
    halves the colours, and what no browser plays is scaled down.

    Args:
        path: of the file; there must be none yet.
        rate_hz: frames per second of the source. Below `MIN_RATE_HZ` the video is played at
            `PLAYABLE_RATE_HZ` and takes no notice of time stamps.

    Attributes:
        notes: what is different from the source, one sentence each.

    Raises:
        OSError: if there is such a file, or it cannot be written.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.notes: list[str] = []
        self._path = path
        self._is_timed = rate_hz >= MIN_RATE_HZ
        self._rate_hz = rate_hz if self._is_timed else PLAYABLE_RATE_HZ
        if not self._is_timed:
            self.notes.append(
                f"{path.name} is played at {PLAYABLE_RATE_HZ:g} Hz: the source has a frame every "
                f"{1 / rate_hz:g} s"
            )
        self._file = _WholeWrites(path)
        self._container = av.open(
            self._file, "w", format="mp4", container_options=_CONTAINER_OPTIONS
        )
        self._stream: av.VideoStream | None = None
        self._size: Size = (0, 0)
        self._num_frames = 0
        self._shift_s = 0.0
        self._last_s = 0.0

    def __enter__(self) -> H264Video:
        """Return the video."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file; after an error, what was written before it stays playable.

        Raises:
            OSError: if it cannot be written.
        """
        is_whole = False
        try:
            if error is None:
                self._finish()
                is_whole = True
        finally:
            if not is_whole:
                self._file.cut_half_written()
            self._file.close()

    def write(self, image: NDArray[np.uint8], stamp_s: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; one of another size than the first is resized to it.
            stamp_s: time stamp in the source, seconds; None takes the time that the frame has at
                the rate of the source.

        Raises:
            OSError: if it cannot be written.
        """
        if self._stream is None:
            self._stream = self._started(image.shape[0], image.shape[1])
        picture = _even(resize_image(image, self._size))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709"
        )
        frame.pts = round(self._time_s(stamp_s) * _TICKS_HZ)
        frame.time_base = Fraction(1, _TICKS_HZ)
        self._mux(self._stream.encode(frame))
        self._num_frames += 1

    def _finish(self) -> None:
        """Write what the encoder holds, and the index."""
        if self._stream is not None:
            self._mux(self._stream.encode(None))
        self._container.close()

    def _started(self, height: int, width: int) -> av.VideoStream:
        """Add the stream, for images of a size in pixels."""
        self._size = _playable_size(height, width)
        if self._size != (height, width):
            self.notes.append(
                f"{self._path.name} is scaled down to {self._size[1]}x{self._size[0]}: browsers "
                f"play no H.264 of {width}x{height}"
            )
        rate = Fraction(self._rate_hz).limit_denominator(_TICKS_HZ)
        stream = self._container.add_stream("libx264", rate=rate, options=dict(_ENCODER_OPTIONS))
        stream.height, stream.width = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, _TICKS_HZ)
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS_HZ)
        context.gop_size = max(1, round(_GROUP_S * self._rate_hz))
        context.max_b_frames = 0
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return stream

    def _time_s(self, stamp_s: float | None) -> float:
        """Return when the next frame is shown, seconds since the first."""
        period_s = 1 / self._rate_hz
        if stamp_s is None or not self._is_timed:
            stamp_s = self._num_frames * period_s
        if self._num_frames == 0:
            self._shift_s = -stamp_s
        time_s = stamp_s + self._shift_s
        step_s = time_s - self._last_s
        if self._num_frames and not 1 / _TICKS_HZ <= step_s <= _MAX_STEP_S:
            self._shift_s += period_s - step_s
            time_s = self._last_s + period_s
        self._last_s = time_s
        return time_s

    def _mux(self, packets: list[av.Packet[av.VideoStream]]) -> None:
        for packet in packets:
            # How long the last frame is shown; of the others, the next one's time says it.
            packet.duration = round(_TICKS_HZ / self._rate_hz)
            self._container.mux(packet)
            self._file.whole_bytes = self._file.tell()


class _WholeWrites:
    """A new file for PyAV to write to: all of what it is given, or an error.

    PyAV's own file ignores errors until it is closed, when it is too late to say which frame.

    Args:
        path: of the file.

    Attributes:
        whole_bytes: size up to which the content makes sense by itself.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self.whole_bytes = 0

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def cut_half_written(self) -> None:
        self._file.truncate(self.whole_bytes)

    def close(self) -> None:
        self._file.close()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _playable_size(height: int, width: int) -> Size:
    """Return the (height, width) nearest to an image's that browsers play, same aspect ratio."""
    scale = min(1.0, MAX_SIDE_PX / max(height, width), math.sqrt(MAX_PIXELS / (height * width)))
    if scale == 1.0:
        return height, width
    return max(1, int(scale * height) & ~1), max(1, int(scale * width) & ~1)


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image with even sides; the last row and column are repeated where needed."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not bottom and not right:
        return image
    return np.asarray(
        cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8
    )
