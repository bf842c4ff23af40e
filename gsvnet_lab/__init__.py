# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The laboratory: training, fitting, evaluation, benchmarks and the command `gsvnet`."""

# First, since it tells OpenMP how threads wait, which torch reads when it is imported.
import gsvnet_model  # noqa: F401
