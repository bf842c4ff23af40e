# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Programs beside the node: demo, camera, recorder, benchmark, Nav2 block."""
