# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""When a keyframe is due: signals, an estimate of quality, and policies."""
