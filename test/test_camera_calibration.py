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


def with_field(field: str, value: object) -> CameraInfo:
    """Return a good calibration with one field changed; a dot leads into the region of interest."""
    info = calibration(RegionOfInterest(width=640, height=480))
    part, _, name = field.rpartition(".")
    setattr(getattr(info, part) if part else info, name, value)
    return info


NAN, HUGE = float("nan"), 2**32 - 1


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("width", HUGE, "width of at most"),
        ("height", HUGE, "height of at most"),
        ("roi.width", HUGE, "width of at most"),
        ("roi.y_offset", HUGE, "height of at most"),
        ("binning_x", HUGE, "binning of at most the width, got 4294967295"),
        ("binning_y", 481, "binning of at most the height, got 481"),
        ("k", [NAN] * 9, "finite numbers in K"),
        ("p", [float("inf")] * 12, "finite numbers in P"),
        ("d", [NAN], "finite numbers in D"),
        ("d", [0.0] * 1_000_000, "at most 64 numbers in D"),
        ("distortion_model", "x\n" * 1_000_000, "distortion_model"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused_in_one_line(
    field: str, value: object, why: str
) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        scale_camera_info(with_field(field, value), HEADER, (480, 640), (480, 640))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_an_uncalibrated_camera_stays_one() -> None:
    """Its matrices are zeros, as sensor_msgs says, and often it states no size."""
    scaled = scale_camera_info(CameraInfo(binning_x=2), HEADER, (480, 640), (240, 320))
    assert not scaled.k.any()
    assert scaled.header == HEADER
