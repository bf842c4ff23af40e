# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Camera calibration for the size of the published images."""

from __future__ import annotations

import copy

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


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
    """
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


def _per_element(scale_x: float, scale_y: float, columns: int) -> list[float]:
    return [scale_x] * columns + [scale_y] * columns + [1.0] * columns
