# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Image sizes on the command line."""

from __future__ import annotations

import argparse


def image_size(text: str) -> tuple[int, int]:
    """Return WxH as (height, width); a type for argparse.

    Raises:
        argparse.ArgumentTypeError: if the text is something else.
    """
    width, separator, height = text.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WxH such as 480x360, got '{text}'")
    return int(height), int(width)
