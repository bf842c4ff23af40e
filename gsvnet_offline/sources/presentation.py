# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Frames of a video in the order of presentation, and which of them can be trusted.

A decoder says little about what it could not do: packets vanish without an error, and frames that
are predicted from one that was lost come out as a smear. What went in is compared with what came
out here, so that every frame keeps its number and no smear is taken for a picture.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import av

UNDECODABLE = "it could not be decoded"
PREDICTED = "it is predicted from a frame that could not be decoded"
NO_KEYFRAME = "it comes before the first frame that is stored whole"

_ALWAYS_SHOW = frozenset({"av1", "h264", "hevc", "mpeg1video", "mpeg2video", "vp9"})
"""Codecs that make a frame of every packet. In others a packet may say that nothing changed."""

_KEPT_KEYFRAMES = 64
"""More than any decoder has packets on the way."""


@dataclass(order=True)
class _Entry:
    """A packet and what became of it.

    Attributes:
        pts: presentation time in units of the stream.
        index: number of the packet in the order of decoding.
        is_disposable: whether no other frame is predicted from it.
        failed: whether the decoder raised an error for it.
        frame: what it was decoded to.
        problem: why there is no frame that can be used.
    """

    pts: int
    index: int
    is_disposable: bool = field(compare=False)
    failed: bool = field(default=False, compare=False)
    frame: av.VideoFrame | None = field(default=None, compare=False)
    problem: str = field(default="", compare=False)

    @property
    def is_settled(self) -> bool:
        """Whether it is known what became of the packet."""
        return self.frame is not None or bool(self.problem)


@dataclass(frozen=True)
class Presented:
    """A frame whose turn it is.

    Attributes:
        pts: presentation time in units of the stream, None where the stream stores none.
        frame: the decoded frame; None where it cannot be used.
        problem: why it cannot be used, else empty.
    """

    pts: int | None
    frame: av.VideoFrame | None
    problem: str = ""


class Presentation:
    """Compares the packets that go into a decoder with the frames that come out.

    Packets without time stamps cannot be told apart: their frames are taken as they come.

    Args:
        codec: name of the codec.
        is_intra_only: whether every frame of it is stored whole.
    """

    def __init__(self, codec: str, is_intra_only: bool) -> None:
        self._always_shows = is_intra_only or codec in _ALWAYS_SHOW
        self._is_intra_only = is_intra_only
        self._index = -1
        self._current: _Entry | None = None
        self._is_hidden = False
        self._expected: list[_Entry] = []  # by presentation time, a heap
        self._unsettled: deque[_Entry] = deque()  # in the order of decoding
        self._queue: deque[_Entry | Presented] = deque()  # in the order of presentation
        self._last_pts: int | None = None
        # (index, pts) of the packets from which decoding can start, and indices of lost ones.
        self._keyframes: deque[tuple[int, int | None]] = deque(maxlen=_KEPT_KEYFRAMES)
        self._damage: deque[int] = deque(maxlen=_KEPT_KEYFRAMES)
        self._given_up: deque[int] = deque(maxlen=_KEPT_KEYFRAMES)  # presentation times

    def send(self, packet: av.Packet[av.VideoStream]) -> None:
        """Note a packet that goes into the decoder next."""
        self._index += 1
        self._current = None
        self._is_hidden = packet.is_discard
        if packet.is_keyframe:
            self._keyframes.append((self._index, packet.pts))
        is_late = self._last_pts is not None and (packet.pts or 0) <= self._last_pts
        if packet.pts is None or is_late or packet.is_discard:
            # What comes after its time is from a clock that was set back.
            return
        self._current = _Entry(packet.pts, self._index, packet.is_disposable)
        if packet.is_corrupt:
            self._lose(self._current, UNDECODABLE)
        heapq.heappush(self._expected, self._current)
        self._unsettled.append(self._current)

    def fail(self) -> None:
        """Note that the decoder raised an error for the packet that was sent last."""
        if self._current is not None:
            self._current.failed = True
        else:
            self._damage.append(self._index)
            if not self._is_hidden:
                self._queue.append(Presented(None, None, UNDECODABLE))

    def receive(self, frame: av.VideoFrame) -> None:
        """Note a frame that came out of the decoder."""
        if frame.pts in self._given_up:  # behind its turn, which happens after a lost packet
            return
        while self._expected and frame.pts is not None and self._expected[0].pts < frame.pts:
            self._present(heapq.heappop(self._expected))
        if frame.pts is not None:
            self._last_pts = frame.pts
        if self._expected and self._expected[0].pts == frame.pts:
            entry = heapq.heappop(self._expected)
            entry.frame = frame
            if frame.key_frame:
                self._note_keyframe(entry)
            if frame.is_corrupt:
                self._lose(entry, UNDECODABLE)
            self._present(entry)
        else:
            self._queue.append(self._unexpected(frame))

    def ready(self) -> Iterator[Presented]:
        """Return the frames whose fate is known, in order, and forget them.

        A frame waits until it is known what became of the packets that were decoded before it:
        it may be predicted from one of them.
        """
        while self._queue:
            entry = self._queue[0]
            if isinstance(entry, _Entry):
                while self._unsettled and self._unsettled[0].is_settled:
                    self._unsettled.popleft()
                if self._unsettled and self._unsettled[0].index < entry.index:
                    return
                entry = self._judged(entry)
            self._queue.popleft()
            yield entry

    def finish(self) -> Iterator[Presented]:
        """Return the rest, when nothing more comes out of the decoder."""
        while self._expected:
            self._present(heapq.heappop(self._expected))
        yield from self.ready()

    def _present(self, entry: _Entry) -> None:
        """Put a packet whose time has come into the queue, with a frame or without."""
        if entry.frame is None:
            self._given_up.append(entry.pts)
        if entry.frame is None and not entry.problem:
            if self._always_shows or entry.failed:
                self._lose(entry, UNDECODABLE)
            else:
                entry.problem = "it holds no picture, the one before stays"
        self._queue.append(entry)

    def _note_keyframe(self, entry: _Entry) -> None:
        """Note a keyframe that the decoder found; not every container marks them."""
        if all(index != entry.index for index, _ in self._keyframes):
            found = [*self._keyframes, (entry.index, entry.pts)]
            self._keyframes.clear()
            self._keyframes.extend(sorted(found, key=lambda keyframe: keyframe[0]))

    def _lose(self, entry: _Entry, problem: str) -> None:
        entry.problem = problem
        if not entry.is_disposable:
            self._damage.append(entry.index)

    def _judged(self, entry: _Entry) -> Presented:
        problem = entry.problem
        if not problem and not self._is_intra_only:
            start = self._start(entry)
            if start is None:
                problem = NO_KEYFRAME
            elif any(start <= lost < entry.index for lost in self._damage):
                problem = PREDICTED
        return Presented(entry.pts, None if problem else entry.frame, problem)

    def _start(self, entry: _Entry) -> int | None:
        """Return the index of the first packet that a frame may be predicted from."""
        before = [(index, pts) for index, pts in self._keyframes if index <= entry.index]
        if not before:
            return None
        index, pts = before[-1]
        # Shown before its keyframe, it may refer to frames before that as well.
        if pts is not None and entry.pts < pts and len(before) > 1:
            return before[-2][0]
        return index

    def _unexpected(self, frame: av.VideoFrame) -> Presented:
        """Judge a frame that no packet announced by its time: by what was lost before it."""
        if frame.key_frame:
            self._damage.clear()
        elif self._damage and not self._is_intra_only:
            return Presented(frame.pts, None, PREDICTED)
        return (
            Presented(frame.pts, None, UNDECODABLE)
            if frame.is_corrupt
            else Presented(frame.pts, frame)
        )
