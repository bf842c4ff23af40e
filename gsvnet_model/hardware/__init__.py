# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The machine: devices, transfers to them, threads on free cores, and the C library's malloc."""
