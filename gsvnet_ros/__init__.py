# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""ROS 2 node that labels camera video."""

# Before any module here imports torch: it sets how torch's threads wait for one another.
import gsvnet_model  # noqa: F401
