# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Propagation of a segmentation from one frame to the next."""

from gsvnet_model.networks.propagation.step import (
    PropagationConfig,
    PropagationNetwork,
    PropagationOutput,
)

__all__ = ["PropagationConfig", "PropagationNetwork", "PropagationOutput"]
