# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation, as tables and as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gsvnet_lab.benchmark.complexity import Complexity
from gsvnet_lab.evaluation.distances import DistanceEvaluation
from gsvnet_lab.evaluation.stability import StreamFigures
from gsvnet_lab.reporting.model_card import markdown_table


@dataclass(frozen=True)
class EvaluationReport:
    """Everything measured with one weights file on one data set.

    Attributes:
        distances: accuracy and reliability by keyframe age.
        complexity: cost of both networks on images of the data's size.
        streams: accuracy and flicker of whole streams, the first one per-frame segmentation;
            empty where the data has no labelled clip.
        class_names: names of the classes, index = class id.
    """

    distances: DistanceEvaluation
    complexity: Complexity
    streams: Sequence[StreamFigures]
    class_names: tuple[str, ...]

    def tables(self) -> dict[str, str]:
        """Return the Markdown tables by heading."""
        tables = {
            "Accuracy by keyframe interval": self._interval_table(),
            "Confidence by keyframe age": self._age_table(),
            "IoU by class": self._class_table(),
            "Cost": self._cost_table(),
        }
        if self.streams:
            tables["As a stream runs"] = self._stream_table()
        return tables

    def figures(self) -> dict[str, object]:
        """Return the figures for a JSON file; lists are in order of interval or age."""
        result = self.distances
        intervals = range(1, result.max_interval + 1)
        return {
            "average_miou": [result.average_miou(interval) for interval in intervals],
            "minimum_miou": [result.minimum_miou(interval) for interval in intervals],
            "warped_miou": [matrix.miou() for matrix in result.warped],
            "repeated_miou": [matrix.miou() for matrix in result.repeated],
            "pixel_accuracy": [matrix.pixel_accuracy() for matrix in result.propagated],
            "expected_calibration_error": [
                histogram.expected_calibration_error() for histogram in result.reliability
            ],
            "mean_confidence": [histogram.mean_confidence() for histogram in result.reliability],
            "streams": [asdict(stream) for stream in self.streams],
            "image_size": f"{self.complexity.size[1]}x{self.complexity.size[0]}",
            "parameters": {
                "keyframe": self.complexity.keyframe.parameters,
                "propagation": self.complexity.propagation.parameters,
            },
            "multiply_adds": {
                "keyframe": self.complexity.keyframe.multiply_adds,
                "propagation": self.complexity.propagation.multiply_adds,
            },
            "iou": [
                {
                    name: float(100 * value)
                    for name, value in zip(self.class_names, matrix.iou(), strict=True)
                }
                for matrix in result.propagated
            ],
        }

    def _interval_table(self) -> str:
        result = self.distances
        rows = [
            (
                interval,
                result.average_miou(interval),
                result.minimum_miou(interval),
                result.warped[interval - 1].miou(),
                result.repeated[interval - 1].miou(),
                f"{self.complexity.multiply_adds(interval) / 1e9:.2f}",
            )
            for interval in range(1, result.max_interval + 1)
        ]
        header = (
            "interval",
            "average mIoU",
            "minimum mIoU",
            "warp only, min.",
            "repeat, min.",
            "G multiply-adds per frame",
        )
        return markdown_table(header, rows)

    def _age_table(self) -> str:
        rows = [
            (
                age,
                matrix.pixel_accuracy(),
                100 * histogram.mean_confidence(),
                f"{histogram.expected_calibration_error():.3f}",
            )
            for age, (matrix, histogram) in enumerate(
                zip(self.distances.propagated, self.distances.reliability, strict=True)
            )
        ]
        return markdown_table(("age", "pixel accuracy %", "mean confidence %", "ECE"), rows)

    def _class_table(self) -> str:
        last = self.distances.max_interval - 1
        scores = [100 * self.distances.propagated[distance].iou() for distance in (0, last)]
        rows = [
            (name, *(float(score[index]) for score in scores))
            for index, name in enumerate(self.class_names)
        ]
        return markdown_table(("class", "keyframe IoU", f"IoU {last} frames later"), rows)

    def _cost_table(self) -> str:
        height, width = self.complexity.size
        rows = [
            (
                name,
                f"{cost.parameters:,}",
                cost.megabytes,
                f"{cost.multiply_adds / 1e9:.2f}",
            )
            for name, cost in (
                ("keyframe", self.complexity.keyframe),
                ("propagation", self.complexity.propagation),
            )
        ]
        header = ("network", "parameters", "MB at float32", f"G multiply-adds, {width}x{height}")
        return markdown_table(header, rows)

    def _stream_table(self) -> str:
        per_frame = self.streams[0].flicker
        rows = [
            (
                stream.interval,
                f"{stream.temporal_blending:g}" if stream.interval > 1 else "",
                stream.average_miou,
                stream.minimum_miou,
                f"{max(stream.expected_calibration_error):.3f}",
                f"{stream.flicker:.2f}",
                f"{100 * (stream.flicker / per_frame - 1):+.0f} %" if per_frame else "",
            )
            for stream in self.streams
        ]
        header = (
            "interval",
            "temporal blending",
            "average mIoU",
            "minimum mIoU",
            "largest ECE",
            "flicker %",
            "against per frame",
        )
        return markdown_table(header, rows)
