# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From the pixels of a camera to the inputs of the networks."""
