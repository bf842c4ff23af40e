# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A recording labelled from its first frame to its last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gsvnet_model.model import SegmentationModel
from gsvnet_model.outputs.overlay import overlay
from gsvnet_model.stream.segmenter import DEFAULT_KEYFRAME_INTERVAL, Segmentation, VideoSegmenter
from gsvnet_offline.names import printable_name
from gsvnet_offline.sources import Frame, ImageSource, SourceItem, UnreadableFrame
from gsvnet_offline.writers.frame_table import FrameTable
from gsvnet_offline.writers.h264_video import H264Video
from gsvnet_offline.writers.label_folder import CONFIDENCE, LABELS, LabelFolder

OVERLAY, TABLE = "overlay.mp4", "frames.csv"


@dataclass
class RecordingSummary:
    """What became of a recording.

    Attributes:
        num_labelled: number of frames with labels.
        unlabelled: the other frames that were reached, with the reasons.
        notes: what is different from the source in the results, one sentence each.
        was_stopped: whether the run was asked to end before the recording did.
    """

    num_labelled: int = 0
    unlabelled: list[UnreadableFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    was_stopped: bool = False

    @property
    def num_unlabelled(self) -> int:
        """The number of frames without labels."""
        return sum(frame.count for frame in self.unlabelled)


def segment_recording(
    source: ImageSource,
    model: SegmentationModel,
    output: Path,
    keyframe_interval: int = DEFAULT_KEYFRAME_INTERVAL,
    with_overlay: bool = True,
    with_confidence: bool = True,
    should_stop: Callable[[], bool] = bool,
    progress: Callable[[Iterable[SourceItem]], Iterable[SourceItem]] = iter,
) -> RecordingSummary:
    """Label every frame of a recording.

    Writes `labels/NNNNNN.png` (class ids), `confidence/NNNNNN.png`, `overlay.mp4` and the table
    `frames.csv`, NNNNNN being the number of the frame in the source. A frame that cannot be read
    or labelled gets no images, keeps its number, and is in the table with the reason.

    Args:
        source: of the images.
        model: that labels them.
        output: folder for the results, which overwrite nothing.
        keyframe_interval: frames from one keyframe to the next.
        with_overlay: whether the video is written.
        with_confidence: whether confidences are written.
        should_stop: is asked before each frame whether to end there.
        progress: wraps the frames as they are read, to show how far the run is.

    Returns:
        What became of the frames.

    Raises:
        ValueError: if earlier results are in the way, or not one frame could be labelled.
        OSError: if a result cannot be written.
    """
    _check_unused(output)
    summary = RecordingSummary()
    with contextlib.ExitStack() as stack, _explained(output, summary):
        folder = LabelFolder(output, with_confidence)
        table = stack.enter_context(FrameTable(output / TABLE))
        video = None
        if with_overlay:
            video = stack.enter_context(H264Video(output / OVERLAY, source.rate_hz))
            summary.notes = video.notes
        segmenter = VideoSegmenter(model, keyframe_interval)
        palette = model.info.classes.palette_array()
        for item in progress(_read(source)):
            if should_stop():
                summary.was_stopped = True
                break
            step = _labelled(segmenter, item)
            if isinstance(step, UnreadableFrame):
                summary.unlabelled.append(step)
                table.add_unlabelled(step)
                continue
            assert isinstance(item, Frame)
            folder.write(item.number, step.labels, step.confidence)
            table.add_labelled(item, step)
            summary.num_labelled += 1
            if video is not None:
                stamp_s = item.number / source.rate_hz if item.stamp_s is None else item.stamp_s
                video.write(overlay(item.image, step.labels, palette), stamp_s)
    if not summary.num_labelled and not summary.was_stopped:
        _remove_empty(output)
        reason = f"the first: {summary.unlabelled[0].reason}" if summary.unlabelled else "none came"
        raise ValueError(f"expected frames that can be labelled, but there is none; {reason}")
    return summary


def _read(source: ImageSource) -> Iterator[SourceItem]:
    """Return the frames of a source; one that ends in an error is not a fault of the results."""
    try:
        yield from source.frames()
    except OSError as error:
        raise ValueError(f"expected a source that can be read to its end, got: {error}") from error


def _labelled(segmenter: VideoSegmenter, item: SourceItem) -> Segmentation | UnreadableFrame:
    """Label a frame; one that the stream refuses is as good as one that cannot be read."""
    if isinstance(item, UnreadableFrame):
        return item
    try:
        return segmenter.step(item.image)
    except ValueError as error:
        return UnreadableFrame(item.number, item.stamp_s, item.name, str(error))


def _check_unused(output: Path) -> None:
    """Check that results overwrite nothing: neither the source nor what an earlier run left.

    Raises:
        ValueError: if something lies where they go.
    """
    found = [name for name in (OVERLAY, TABLE) if (output / name).exists()]
    found += [name for name in (LABELS, CONFIDENCE) if any((output / name).glob("*"))]
    if found:
        raise ValueError(
            f"expected a folder for the results that holds none of {OVERLAY}, {TABLE}, {LABELS} "
            f"and {CONFIDENCE}, but {printable_name(output)} has {', '.join(found)}; name another "
            "or move them away"
        )


def _remove_empty(output: Path) -> None:
    """Remove results without content, which would be in the way of the next try."""
    for name in (OVERLAY, TABLE):
        (output / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(output: Path, summary: RecordingSummary) -> Iterator[None]:
    """Say in an error of writing how far the run came."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"the results in {printable_name(output)} cannot be written: "
            f"{error.strerror or error}; {summary.num_labelled} frames are labelled. Is the disk "
            "full, or a limit on file sizes set?"
        ) from error
