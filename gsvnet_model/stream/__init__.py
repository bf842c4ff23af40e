# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""One video stream: the step, what it carries from frame to frame, keyframes beside it."""
