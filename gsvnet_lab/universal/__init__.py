# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A propagation network without classes, which carries the logits of any network; no node uses it.

It is a study: docs/universal.md says how far it is from the class-specific network.
"""
