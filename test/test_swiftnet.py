# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Where the maps inside SwiftNet lie; its arithmetic is compared in test_parity.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gsvnet_model.networks.keyframe.swiftnet import SwiftNet, Upsample


def upsampled_columns(columns: int, larger: int) -> torch.Tensor:
    """Upsample a map whose values are its column numbers; nothing else is done to it."""
    step = Upsample(1)
    step.skip, step.blend = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    values = torch.arange(float(columns)).expand(1, 1, columns, columns)
    with torch.inference_mode():
        upsampled: torch.Tensor = step(values, torch.zeros(1, 1, larger, larger))
    return upsampled[0, 0]


@pytest.mark.parametrize("columns", [2, 5, 21])
def test_upsampling_to_odd_maps_keeps_corners_on_corners(columns: int) -> None:
    """Cell i of a map that a strided convolution made lies on cell 2 * i of the one before."""
    larger = 2 * columns - 1
    expected = torch.arange(larger).expand(larger, larger) / 2
    torch.testing.assert_close(upsampled_columns(columns, larger), expected)


def test_upsampling_to_even_maps_is_as_published() -> None:
    middle = upsampled_columns(5, 10)[0, 1:-1]
    torch.testing.assert_close(middle, torch.arange(1.0, 9.0) / 2 - 0.25)


def test_sides_of_32_n_plus_1_make_every_step_such_a_one() -> None:
    steps: list[tuple[torch.Size, torch.Size]] = []
    network = SwiftNet(3).eval()
    for step in network.decoder:
        step.register_forward_hook(
            lambda module, inputs, output: steps.append((inputs[0].shape, output.shape))
        )
    with torch.inference_mode():
        network(torch.zeros(1, 3, 97, 129))
    assert len(steps) == 3
    for small, large in steps:
        assert large[-2:] == (2 * small[-2] - 1, 2 * small[-1] - 1)
