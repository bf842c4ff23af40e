# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Camera calibration for the size of the published images."""

from __future__ import annotations

import copy
import math

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from gsvnet_ros.messages.peer_text import peer_text

MAX_SENSOR_PX = 1 << 20
"""Most rows and most columns of a sensor; far above any."""

_MAX_COEFFICIENTS = 64
_MAX_MODEL_NAME = 64


def scale_camera_info(
    info: CameraInfo, header: Header, image: tuple[int, int], output: tuple[int, int]
) -> CameraInfo:
    """Return the calibration of an image after resizing.

    Convention: width, height, K, P and the region of interest are those of the whole sensor, of
    which the image shows the region of interest, binned. All are multiplied by the ratio of the
    output's size to the image's, as image_proc does; R and D do not depend on it.

    Args:
        info: calibration of the camera.
        header: header of the result.
        image: (height, width) of the image, used where the calibration states no size.
        output: (height, width) of the result.

    Raises:
        ValueError: if it is no calibration of a camera: numbers that are not finite, sides that
            are too long, a binning that leaves no pixel, more coefficients than any model has.
    """
    _check(info)
    seen_x = (info.roi.width or info.width or image[1]) / max(1, info.binning_x)
    seen_y = (info.roi.height or info.height or image[0]) / max(1, info.binning_y)
    scale_x, scale_y = output[1] / seen_x, output[0] / seen_y
    scaled = copy.deepcopy(info)
    scaled.header = header
    scaled.width = round(info.width * scale_x) or output[1]
    scaled.height = round(info.height * scale_y) or output[0]
    scaled.k = info.k * _per_element(scale_x, scale_y, columns=3)
    scaled.p = info.p * _per_element(scale_x, scale_y, columns=4)
    scaled.roi.x_offset = round(info.roi.x_offset * scale_x)
    scaled.roi.width = round(info.roi.width * scale_x)
    scaled.roi.y_offset = round(info.roi.y_offset * scale_y)
    scaled.roi.height = round(info.roi.height * scale_y)
    return scaled


def _check(info: CameraInfo) -> None:
    for name, numbers in (("D", info.d), ("K", info.k), ("R", info.r), ("P", info.p)):
        if len(numbers) > _MAX_COEFFICIENTS:
            raise ValueError(
                f"expected at most {_MAX_COEFFICIENTS} numbers in {name}, got {len(numbers)}"
            )
        for number in numbers:
            if not math.isfinite(number):
                raise ValueError(f"expected finite numbers in {name}, got {number}")
    if len(info.distortion_model) > _MAX_MODEL_NAME:
        raise ValueError(
            f"expected a distortion_model of at most {_MAX_MODEL_NAME} characters, got "
            f"{peer_text(info.distortion_model)}"
        )
    roi = info.roi
    for name, offset, seen, whole, binning in (
        ("width", roi.x_offset, roi.width, info.width, info.binning_x),
        ("height", roi.y_offset, roi.height, info.height, info.binning_y),
    ):
        longest = max(offset, seen, whole)
        if longest > MAX_SENSOR_PX:
            raise ValueError(f"expected a {name} of at most {MAX_SENSOR_PX} pixels, got {longest}")
        # A calibration that states no size is one of the image.
        if binning > (seen or whole or MAX_SENSOR_PX):
            raise ValueError(f"expected a binning of at most the {name}, got {binning}")


def _per_element(scale_x: float, scale_y: float, columns: int) -> list[float]:
    return [scale_x] * columns + [scale_y] * columns + [1.0] * columns
