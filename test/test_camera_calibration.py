# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The calibration follows the size of the masks, also where the image is a part of the sensor."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from gsvnet_ros.messages.camera_calibration import scale_camera_info

K = (1000.0, 0.0, 640.0, 0.0, 1100.0, 480.0, 0.0, 0.0, 1.0)
HEADER = Header(frame_id="camera")


def calibration(roi: RegionOfInterest | None = None, binning: int = 0) -> CameraInfo:
    """Return that of a sensor of 1280x960."""
    p = (*K[:3], 7.0, *K[3:6], 0.0, *K[6:], 0.0)
    return CameraInfo(
        width=1280,
        height=960,
        k=K,
        p=p,
        d=[0.1, 0.2],
        roi=roi or RegionOfInterest(),
        binning_x=binning,
        binning_y=binning,
    )


def test_a_mask_of_half_the_size_has_half_the_focal_length() -> None:
    scaled = scale_camera_info(calibration(), HEADER, (960, 1280), (480, 640))
    assert (scaled.width, scaled.height) == (640, 480)
    np.testing.assert_array_equal(scaled.k, np.multiply(K, [0.5] * 6 + [1.0] * 3))
    assert (scaled.p[0], scaled.p[3], scaled.p[10]) == (500.0, 3.5, 1.0)
    assert scaled.header == HEADER
    assert list(scaled.d) == [0.1, 0.2]


@pytest.mark.parametrize("binning", [0, 1, 2])
def test_a_part_of_the_sensor_at_its_own_size_keeps_its_calibration(binning: int) -> None:
    roi = RegionOfInterest(x_offset=100, y_offset=50, width=640, height=480)
    info = calibration(roi, binning)
    size = (480 // max(1, binning), 640 // max(1, binning))
    scaled = scale_camera_info(info, info.header, size, size)
    assert scaled == info


def test_a_binned_image_at_half_its_size_has_half_of_all() -> None:
    scaled = scale_camera_info(calibration(binning=2), HEADER, (480, 640), (240, 320))
    # A reader divides by the binning, which stays.
    assert (scaled.width, scaled.height, scaled.binning_x) == (640, 480, 2)
    assert (scaled.k[0], scaled.k[2], scaled.k[4]) == (500.0, 320.0, 550.0)


def test_a_calibration_without_size_is_one_of_the_image() -> None:
    info = calibration()
    info.width = info.height = 0
    scaled = scale_camera_info(info, HEADER, (960, 1280), (480, 640))
    assert (scaled.width, scaled.height, scaled.k[0]) == (640, 480, 500.0)
