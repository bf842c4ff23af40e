# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Synthetic motion: video with exact labels and flow out of labelled stills."""
