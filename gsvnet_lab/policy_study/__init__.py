# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Keyframe schedules compared: policies, fixed intervals, the best there is."""
