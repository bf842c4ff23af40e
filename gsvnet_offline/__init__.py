# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Recordings in, labels out.

`sources` gives the frames of videos, image folders and cameras, `writers` keeps what becomes of
them, `segment_recording` goes from one to the other.
"""
