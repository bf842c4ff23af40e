# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Fits to trained weights: temperatures, logit adjustment, the estimate of quality."""
