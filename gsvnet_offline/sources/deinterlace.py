# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Interlaced frames made whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import av
import av.filter

from gsvnet_offline.sources.presentation import Presented


def deinterlaced(items: Iterable[Presented], stream: av.VideoStream) -> Iterator[Presented]:
    """Return frames with interlaced ones made progressive, one for one.

    The two halves of an interlaced frame, its odd and its even rows, were taken one after the
    other. Each such frame becomes one at the time of its first half.

    Args:
        items: frames in the order of presentation.
        stream: that they come from.
    """
    waiting: deque[Presented] = deque()
    graph: av.filter.Graph | None = None
    shape: tuple[int, int, str] | None = None
    for item in items:
        frame = item.frame
        if frame is not None:
            found = (frame.width, frame.height, frame.format.name)
            if graph is not None and found != shape:
                yield from _filled(waiting, graph, ends=True)
                graph = None
            if graph is None and frame.interlaced_frame:
                graph, shape = _graph(frame, stream), found
        if graph is None:
            yield item
            continue
        waiting.append(item)
        if frame is not None:
            graph.push(frame)
        yield from _filled(waiting, graph)
    if graph is not None:
        yield from _filled(waiting, graph, ends=True)


def _graph(frame: av.VideoFrame, stream: av.VideoStream) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=stream.time_base,
    )
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


def _filled(
    waiting: deque[Presented], graph: av.filter.Graph, ends: bool = False
) -> Iterator[Presented]:
    """Return the items in front for which the filter has a frame, or that have none."""
    if ends:
        graph.push(None)
    while waiting:
        if waiting[0].frame is None:
            yield waiting.popleft()
            continue
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, av.VideoFrame)
        yield replace(waiting.popleft(), frame=frame)
