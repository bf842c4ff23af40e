# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""DDRNet-23-slim: published size and cost, shapes, gradients, folding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm
from gsvnet_model.networks.keyframe.dappm import DeepAggregationPyramidPooling
from gsvnet_model.networks.keyframe.ddrnet import DDRNet


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def with_used_norms(network: nn.Module) -> nn.Module:
    """Give every batch normalisation statistics and weights that are not the initial ones."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def test_parameters_are_the_published_5_7_million() -> None:
    network = DDRNet(19)
    assert count_parameters(network) - count_parameters(network.auxiliary) == 5_695_923
    assert count_parameters(network.auxiliary) == 38_355
    assert count_parameters(network.context) == 1_073_408


def test_multiplications_are_the_published_2_9_billion() -> None:
    network = DDRNet(19).eval()
    macs = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        assert isinstance(module, nn.Conv2d)
        macs += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, 352, 480))
    assert macs == pytest.approx(2.93e9, rel=0.005)


@pytest.mark.parametrize("size", [(32, 32), (45, 61), (64, 96), (33, 100)])
def test_logits_have_stride_8(size: tuple[int, int]) -> None:
    network = DDRNet(11).eval()
    assert network(torch.zeros(1, 3, *size)).shape == (1, 11, -(-size[0] // 8), -(-size[1] // 8))


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = DDRNet(11)
    logits, auxiliary = network.forward_with_auxiliary(torch.randn(2, 3, 64, 128))
    assert logits.shape == auxiliary.shape == (2, 11, 8, 16)
    (logits.square().sum() + auxiliary.square().sum()).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_auxiliary_head_is_not_run_for_the_logits() -> None:
    network = with_used_norms(DDRNet(11))
    assert isinstance(network, DDRNet)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network.forward_with_auxiliary(image)[0]
        del network.auxiliary
        assert torch.equal(network(image), expected)


def test_folded_network_gives_the_same_logits() -> None:
    torch.manual_seed(0)
    network = with_used_norms(DDRNet(11))
    fast = fuse_batch_norm(network)
    image = torch.randn(1, 3, 96, 128)
    with torch.inference_mode():
        expected = network(image)
        assert torch.allclose(fast(image), expected, atol=1e-4)
        assert torch.equal(network(image), expected)  # the original is left alone
    left = [name for name, module in fast.named_modules() if isinstance(module, nn.BatchNorm2d)]
    # Only those before a convolution, of pyramid and heads.
    assert all(name.startswith("context.") or name.endswith("input_norm") for name in left), left


def test_context_pools_ignore_what_lies_outside() -> None:
    """A constant map stays constant: averages at the border do not count the padding."""
    torch.manual_seed(0)
    module = DeepAggregationPyramidPooling(8, 4, 6).eval()
    for blend in module.blends:
        # The 3x3 convolutions pad with zeros; reduce them to their centres.
        weight = blend.get_submodule("conv").weight
        assert isinstance(weight, Tensor)
        centre = weight.data[:, :, 1:2, 1:2].clone()
        weight.data.zero_()[:, :, 1:2, 1:2] = centre
    with torch.inference_mode():
        result = module(torch.rand(1, 8, 1, 1).expand(1, 8, 6, 9).contiguous())
    assert torch.allclose(result, result[..., :1, :1].expand_as(result), atol=1e-5)
    assert result.abs().max() > 0
