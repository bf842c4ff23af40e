# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""What labelling a recording leaves behind: label images, a video to look at, a table."""
