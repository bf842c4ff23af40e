# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Accuracy over throughput: propagation against per-frame segmentation."""
