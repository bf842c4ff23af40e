# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""From logits to labels, confidences, classes and pictures of them."""
