# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The operations around the networks: one function each, with a reference and faster ways."""
