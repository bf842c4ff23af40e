# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A small street, drawn by the package itself: pictures with exact labels and exact flow."""

from street_drive.drive import Frame, StreetDrive
from street_drive.travel import Travel, steady, stop_and_go

__all__ = ["RENDERER_VERSION", "Frame", "StreetDrive", "Travel", "steady", "stop_and_go"]

RENDERER_VERSION = "70c61c52"
"""Names what the renderer draws. Change it with every change of a picture, so that frames kept on
disk are rendered anew and a training on older frames is not continued."""
