# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Run the command with `python -m gsvnet_lab.cli`."""

import sys

from gsvnet_lab.cli import main

sys.exit(main())
