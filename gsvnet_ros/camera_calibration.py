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

    Convention: K and P are multiplied by the ratio of the sizes, row x by the width's and
    row y by the height's, as image_proc does. R and D do not depend on the size.

    Args:
        info: calibration of the camera.
        header: header of the result.
        image: (height, width) of the image, used where the calibration states no size.
        output: (height, width) of the result.
    """
    scale_x = output[1] / (info.width or image[1])
    scale_y = output[0] / (info.height or image[0])
    scaled = copy.deepcopy(info)
    scaled.header = header
    scaled.height, scaled.width = output
    scaled.k = info.k * _per_element(scale_x, scale_y, columns=3)
    scaled.p = info.p * _per_element(scale_x, scale_y, columns=4)
    scaled.roi.x_offset = round(info.roi.x_offset * scale_x)
    scaled.roi.width = round(info.roi.width * scale_x)
    scaled.roi.y_offset = round(info.roi.y_offset * scale_y)
    scaled.roi.height = round(info.roi.height * scale_y)
    return scaled


def _per_element(scale_x: float, scale_y: float, columns: int) -> list[float]:
    return [scale_x] * columns + [scale_y] * columns + [1.0] * columns
