# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The operations around the networks, one file each.

A file holds the operation's front door, which chooses the backend by the device of its arguments,
and its reference: plain PyTorch that runs on any device and says what every backend has to
compute. `cpu` holds the compiled loops, `cuda` the Triton kernels; the latter are imported at
their first use, never on a CPU. Nothing here knows the networks.
"""
