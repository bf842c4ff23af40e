# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""A small street, drawn by the package itself: pictures with exact labels and exact flow."""

from gsvnet_model.street_drive.drive import Frame, StreetDrive
from gsvnet_model.street_drive.travel import Travel, steady, stop_and_go

__all__ = ["Frame", "StreetDrive", "Travel", "steady", "stop_and_go"]
