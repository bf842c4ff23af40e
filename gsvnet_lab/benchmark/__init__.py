# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Measurements of speed and memory, everything side by side in one process."""
