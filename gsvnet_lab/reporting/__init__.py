# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Model cards, picture sheets and the machine that made a figure."""
