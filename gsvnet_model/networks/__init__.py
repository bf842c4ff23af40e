# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The networks: one file per box of the paper, and what prepares them for inference."""
