# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Counts, rates and latencies, and what diagnostics say of them."""
