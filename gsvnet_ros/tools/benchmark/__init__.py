# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What the node costs and how long it lasts, measured over real topics."""
