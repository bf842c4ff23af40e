# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Our networks against the published implementation, and against a plain reference."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from released_weights import expected_outputs, published_tensors
from torch import Tensor
from torch.nn import functional as F

from gsvnet_lab.released.keyframe import read_released_keyframe
from gsvnet_lab.released.propagation import read_released_propagation
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.keyframe.swiftnet import SwiftNet
from gsvnet_model.networks.propagation import (
    PropagationConfig,
    PropagationNetwork,
    PropagationOutput,
)
from gsvnet_model.networks.propagation.edge import edge_map
from gsvnet_model.networks.propagation.flow import FLOW_DIVISOR
from gsvnet_model.networks.propagation.kernels import ideal_delay_kernels
from gsvnet_model.ops.mix import guided_filter
from gsvnet_model.ops.warp import backward_warp

TOLERANCE = 1e-4


def relative_error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return expected_outputs()


@pytest.fixture(scope="module")
def published_step(
    expected: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> tuple[PropagationNetwork, PropagationOutput]:
    path = tmp_path_factory.mktemp("published") / "gsvnet.pth"
    gsv = {f"grm.{name}": value for name, value in published_tensors("gsv").items()}
    torch.save({"state_dict": gsv, "state_dict_of": published_tensors("flow_light")}, path)
    config, state_dict = read_released_propagation(path)
    network = PropagationNetwork(config).eval()
    network.load_state_dict(state_dict)
    # The published networks take BGR images; ours take RGB.
    current, previous = expected["current_eighth"].flip(1), expected["previous_eighth"].flip(1)
    with torch.inference_mode():
        return network, network(expected["previous_logits"], current, previous)


@pytest.mark.parametrize(
    ("name", "network_class"), [("swiftnet_r18", SwiftNet), ("bisenet_r18", BiSeNet)]
)
def test_keyframe_logits(
    name: str,
    network_class: type[SwiftNet] | type[BiSeNet],
    expected: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    torch.save(published_tensors(name), tmp_path / "keyframe.pt")
    checkpoint = read_released_keyframe(tmp_path / "keyframe.pt")
    network = network_class(checkpoint.num_classes).eval()
    network.load_state_dict(checkpoint.state_dict)
    with torch.inference_mode():
        logits = network(expected["image"])
    assert relative_error(logits, expected[f"{name.removesuffix('_r18')}_logits"]) < TOLERANCE


def test_flow_raw(
    expected: dict[str, Tensor], published_step: tuple[PropagationNetwork, PropagationOutput]
) -> None:
    current, previous = expected["current_eighth"].flip(1), expected["previous_eighth"].flip(1)
    with torch.inference_mode():
        raw_flow = published_step[0].flow(current, previous)
    assert relative_error(raw_flow, expected["flow_raw"]) < TOLERANCE


@pytest.mark.parametrize(
    ("field", "array"),
    [
        ("warped_logits", "warped_logits"),
        ("intra_logits", "intra_logits"),
        ("mixing", "kernel"),
        ("logits", "fused_logits"),
    ],
)
def test_step(
    field: str,
    array: str,
    expected: dict[str, Tensor],
    published_step: tuple[PropagationNetwork, PropagationOutput],
) -> None:
    assert relative_error(getattr(published_step[1], field), expected[array]) < TOLERANCE


def test_flow_is_a_quarter_of_the_resized_output(
    expected: dict[str, Tensor], published_step: tuple[PropagationNetwork, PropagationOutput]
) -> None:
    flow = published_step[1].flow
    assert FLOW_DIVISOR == 4
    assert relative_error(flow * 4, expected["flow_eighth"]) < TOLERANCE


def test_warp_alone(expected: dict[str, Tensor]) -> None:
    warped = backward_warp(expected["previous_logits"], expected["flow_eighth"] / 4)
    assert relative_error(warped, expected["warped_logits"]) < TOLERANCE


def test_edge_map_is_exact(expected: dict[str, Tensor]) -> None:
    labels = expected["warped_logits"].argmax(dim=1)
    assert torch.equal(edge_map(labels, "binary"), expected["edge_map"])


def test_filter_alone(expected: dict[str, Tensor]) -> None:
    fused = guided_filter(
        expected["warped_logits"],
        expected["kernel"],
        ideal_delay_kernels(3),
        expected["intra_logits"],
    )
    assert relative_error(fused, expected["fused_logits"]) < TOLERANCE


def plain_warp(values: Tensor, flow: Tensor) -> Tensor:
    """Warp cell by cell, as the method is written down."""
    height, width = values.shape[-2:]
    source, warped = values.double().numpy(), torch.zeros_like(values).double().numpy()
    for n, (flow_x, flow_y) in enumerate(flow.double().numpy()):
        for y, x in np.ndindex(height, width):
            at_x, at_y = x + flow_x[y, x], y + flow_y[y, x]
            left, top = math.floor(at_x), math.floor(at_y)
            for row, column in itertools.product((top, top + 1), (left, left + 1)):
                if 0 <= row < height and 0 <= column < width:
                    weight = (1 - abs(at_x - column)) * (1 - abs(at_y - row))
                    warped[n, :, y, x] += weight * source[n, :, row, column]
    return torch.from_numpy(warped).float()


def plain_edges(logits: Tensor) -> Tensor:
    """Take the Laplacian of the index map with a convolution."""
    stencil = torch.ones(1, 1, 3, 3)
    stencil[..., 1, 1] = -8
    indices = logits.argmax(1, keepdim=True).float()
    return (F.conv2d(indices, stencil, padding=1) != 0).float()


def plain_mixing(
    warped: Tensor, mixing: Tensor, kernels: Tensor, intra_logits: Tensor | None
) -> Tensor:
    """Filter with the whole bank as a 3-D convolution, then mix the results."""
    size = kernels.shape[-1]
    bank = kernels.reshape(-1, 1, 1, size, size)
    filtered = F.conv3d(warped[:, None], bank, padding=(0, size // 2, size // 2))
    candidates = [warped[:, None], filtered]
    if intra_logits is not None:
        candidates.append(intra_logits[:, None])
    return (mixing[:, :, None] * torch.cat(candidates, 1)).sum(1)


@pytest.mark.parametrize("grid", [(7, 9), (8, 12), (13, 6)])
@pytest.mark.parametrize(
    "config",
    [
        PropagationConfig(5),
        PropagationConfig(5, kernel_size=5),
        PropagationConfig(5, learned_kernels=True),
        PropagationConfig(5, kernel_size=5, learned_kernels=True),
        PropagationConfig(5, use_intra=False),
    ],
    ids=["published", "5x5", "learned", "learned 5x5", "no intra"],
)
def test_step_equals_the_plain_reference(config: PropagationConfig, grid: tuple[int, int]) -> None:
    torch.manual_seed(grid[0])
    network = PropagationNetwork(config).eval()
    if config.learned_kernels:
        torch.nn.init.normal_(network.kernels.weight)
    torch.nn.init.normal_(network.flow.head.weight, std=4)  # displacements of several pixels
    logits = torch.randn(2, 5, *grid)
    current, previous = torch.randn(2, 2, 3, *grid)
    with torch.inference_mode():
        output = network(logits, current, previous)

        raw_flow = network.flow(current, previous)
        flow = F.interpolate(raw_flow, grid, mode="bilinear", align_corners=True) / 4
        warped = plain_warp(logits, flow)
        intra_logits = network.intra(current) if network.intra is not None else None
        cues = warped if intra_logits is None else intra_logits
        mixing = network.guide(torch.cat((cues, plain_edges(output.warped_logits)), 1))
        fused = plain_mixing(warped, mixing, network.kernels.weight, intra_logits)

    assert flow.abs().max() > 1
    assert relative_error(output.flow, flow) < TOLERANCE
    assert relative_error(output.warped_logits, warped) < TOLERANCE
    assert relative_error(output.warped_previous, plain_warp(previous, flow)) < TOLERANCE
    assert relative_error(output.mixing, mixing) < TOLERANCE
    assert relative_error(output.logits, fused) < TOLERANCE
