# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Checkpoints and arrangement of the code that was released with the paper."""
