# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""ROS 2 node that labels camera video."""

import os

MAX_IMAGE_PIXELS = 1 << 26
"""Largest image taken from a message: 64 megapixels, above any camera, below the memory."""

# Read by OpenCV when it is first imported: its decoders then refuse larger images by themselves,
# should they find another size in a header than this package does.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_IMAGE_PIXELS))
