# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The fast propagation step against the networks called layer by layer."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.prepacked_convolution import can_prepack, prepack_convolutions
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.networks.propagation.inference import PropagationInference
from gsvnet_model.ops.cpu.propagation import warp_rows
from gsvnet_model.ops.upsampled_convolution import UpsampledConvolution

CLASSES = 7


def network(**options: object) -> PropagationNetwork:
    """Return random weights with batch norms that do something, as after training."""
    torch.manual_seed(0)
    config = PropagationConfig(CLASSES, **options)  # type: ignore[arg-type]
    made = PropagationNetwork(config).eval().requires_grad_(False)
    normalise_somehow(made)
    if config.learned_kernels:
        made.kernels.weight.normal_()
    return made


def normalise_somehow(made: nn.Module) -> None:
    """Give batch norms random statistics and weights."""
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                assert values is not None
                values.detach().uniform_(low, high)


def inputs(batch: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits in patches as a segmentation has them, and two images."""
    torch.manual_seed(1)
    coarse = 6 * torch.randn(batch, CLASSES, 4, 5)
    logits = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return logits, torch.randn(batch, 3, height, width), torch.randn(batch, 3, height, width)


@pytest.mark.parametrize("size", [(1, 16, 24), (3, 13, 9), (1, 2, 2), (1, 90, 120)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_size": 5},
        {"learned_kernels": True},
        {"use_intra": False},
        {"edge": "none"},
        {"edge": "sigmoid"},
        {"use_intra": False, "edge": "none", "kernel_size": 5, "learned_kernels": True},
    ],
    ids=str,
)
def test_float32_equals_the_network(options: dict[str, object], size: tuple[int, int, int]) -> None:
    slow = network(**options)
    values = inputs(*size)
    expected, got = slow(*values), PropagationInference(slow, torch.float32)(*values)
    # Sampling positions differ in rounding, and with them what noise of deviation 1 or more says
    # there.
    for name, tolerance in (
        ("flow", 1e-6),
        ("warped_logits", 5e-4),
        ("warped_previous", 5e-4),
        ("intra_logits", 1e-5),
        ("edge", 0.0),
        ("mixing", 5e-4 if slow.intra is None else 1e-5),
        ("logits", 2e-3),
    ):
        slow_values, fast_values = getattr(expected, name), getattr(got, name)
        if slow_values is None:
            assert fast_values is None
        else:
            difference = (fast_values - slow_values).abs().max()
            assert difference <= tolerance, (name, difference)


def test_bfloat16_gives_the_same_labels_but_for_ties() -> None:
    slow = network()
    values = inputs(1, 64, 96)
    expected = slow(*values).logits
    got = PropagationInference(slow, torch.bfloat16)(*values).logits
    assert got.dtype == torch.float32
    best = expected.topk(2, dim=1).values
    clear = best[:, 0] - best[:, 1] > 0.2
    assert clear.float().mean() > 0.85
    assert torch.equal(got.argmax(1)[clear], expected.argmax(1)[clear])


def test_the_state_is_not_rounded_to_the_precision() -> None:
    """Nine propagations of a bfloat16 state would drift; this one stays near the network's."""
    slow = network()
    fast = PropagationInference(slow, torch.bfloat16)
    logits, current, previous = inputs(1, 32, 48)
    expected = got = logits
    for _ in range(9):
        expected = slow(expected, current, previous).logits
        got = fast(got, current, previous).logits
    assert (expected.argmax(1) == got.argmax(1)).float().mean() > 0.97


def test_threads_share_the_rows_without_a_trace() -> None:
    fast = PropagationInference(network(), torch.float32)
    values = inputs(2, 130, 128)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = fast(*values)
        torch.set_num_threads(4)
        together = fast(*values)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(together.logits, alone.logits, rtol=0, atol=1e-4)
    with ThreadPoolExecutor(4) as streams:
        for result in streams.map(lambda _: fast(*values).logits, range(8)):
            torch.testing.assert_close(result, alone.logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30, 1e30])
def test_a_flow_that_is_no_place_fetches_zero(value: float) -> None:
    flow = np.zeros((1, 2, 4, 5), np.float32)
    flow[0, 0, 2, 3] = value
    logits, image = np.ones((1, 2, 20), np.float32), np.ones((1, 3, 20), np.float32)
    warped, warped_image = np.zeros((1, 2, 6, 7), np.float32), np.zeros((1, 3, 4, 5), np.float32)
    labels = np.zeros((1, 4, 5), np.int32)
    warp_rows(logits, image, flow, 1, warped, warped_image, labels, 0, 4)
    assert warped[0, :, 3, 4].tolist() == [0, 0]
    assert warped[0].sum() == 2 * 19
    assert warped_image[0, :, 2, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(7, 9), (8, 10), (1, 1), (4, 5), (13, 5)])
def test_upsampled_convolution_is_both_steps_in_one(size: tuple[int, int]) -> None:
    torch.manual_seed(2)
    conv = nn.Conv2d(6, 5, 3, padding=1).requires_grad_(False)
    small = torch.randn(2, 6, 4, 5)
    large = F.interpolate(small, size, mode="bilinear", align_corners=True)
    upsampled = UpsampledConvolution(conv)
    torch.testing.assert_close(upsampled(small, size), conv(large).relu(), rtol=0, atol=1e-5)
    added = torch.randn(2, 5, *size).to(memory_format=torch.channels_last)
    expected = conv(large).relu() + added
    torch.testing.assert_close(upsampled(small, size, added), expected, rtol=0, atol=1e-5)


def test_upsampled_convolution_in_bfloat16() -> None:
    torch.manual_seed(2)
    conv = nn.Conv2d(6, 5, 3, padding=1).requires_grad_(False)
    small, added = torch.randn(2, 6, 4, 5), torch.randn(2, 5, 8, 10)
    large = F.interpolate(small, (8, 10), mode="bilinear", align_corners=True)
    rounded = small.bfloat16(), (8, 10), added.bfloat16()
    got = UpsampledConvolution(conv.bfloat16())(*rounded)
    assert got.dtype == torch.bfloat16
    expected = conv.float()(large).relu() + added
    torch.testing.assert_close(got.float(), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 1), nn.Linear(2, 2)],
    ids=str,
)
def test_upsampled_convolution_takes_no_other_layer(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected a 3x3 convolution"):
        UpsampledConvolution(layer)


def test_folding_leaves_no_batch_norm_and_the_original_as_it_was() -> None:
    slow = network()
    images = inputs(1, 16, 24)[1:]
    before = slow.flow(*images)
    fast = fuse_batch_norm(slow.flow)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    torch.testing.assert_close(fast(*images), before, rtol=0, atol=1e-5)
    assert torch.equal(slow.flow(*images), before)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_packed_convolutions_give_the_same(precision: torch.dtype) -> None:
    torch.manual_seed(4)
    first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    plain = nn.Sequential(
        first,
        nn.Identity(),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2, bias=False),
        nn.Sequential(nn.ReLU(), nn.Conv2d(8, 5, 1)),
        nn.Conv2d(5, 4, 3, padding="same", padding_mode="reflect"),
        nn.ReLU(),
    )
    plain.requires_grad_(False).to(precision).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = prepack_convolutions(copy.deepcopy(plain))
    kinds = [type(module).__name__ for module in network.modules()]
    if can_prepack(first):
        assert kinds.count("PrepackedConvolution") == 3
        assert kinds.count("ReLU") == 2  # before a convolution, and after one that is not packed
    for size in ((16, 24), (13, 9)):
        image = torch.randn(2, 3, *size).to(precision, memory_format=torch.channels_last)
        tolerance = 1e-5 if precision == torch.float32 else 0.02
        torch.testing.assert_close(network(image), plain(image), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["swiftnet_r18", "bisenet_r18", "ddrnet23_slim"])
def test_folded_keyframe_networks_give_the_same_logits(name: str) -> None:
    torch.manual_seed(3)
    slow = build_keyframe_network(name, CLASSES).eval().requires_grad_(False)
    normalise_somehow(slow)
    fast = fuse_batch_norm(slow)
    count = [
        sum(isinstance(module, nn.BatchNorm2d) for module in made.modules())
        for made in (slow, fast)
    ]
    assert count[1] < count[0] / 2
    image = torch.randn(1, 3, 64, 96)
    expected = slow(image)
    tolerance = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(fast(image), expected, rtol=0, atol=tolerance)


def test_an_identity_of_the_networks_own_is_left_alone() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Conv2d(3, 3, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.add(x, self.block(x))

    torch.manual_seed(5)
    network, x = Residual().eval(), torch.randn(1, 3, 4, 4)
    expected = network(x.clone())
    assert torch.equal(fuse_batch_norm(network)(x.clone()), expected)


def test_a_normalisation_before_its_convolution_is_not_folded() -> None:
    class PreActivation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(torch.relu(self.norm(x)))  # type: ignore[no-any-return]

    slow = PreActivation().eval().requires_grad_(False)
    normalise_somehow(slow)
    x = torch.randn(1, 4, 5, 6)
    assert torch.equal(fuse_batch_norm(slow)(x), slow(x))


def test_shapes_that_do_not_fit_are_named() -> None:
    fast = PropagationInference(network(), torch.float32)
    logits, current, previous = inputs(1, 16, 24)
    with pytest.raises(ValueError, match="logits: expected shape"):
        fast(logits[:, 1:], current, previous)
    with pytest.raises(ValueError, match="previous: expected shape"):
        fast(logits, current, previous[..., 1:])
