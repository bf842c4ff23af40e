# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Training, fitting, evaluation and benchmarks: what made the weights and the figures."""
