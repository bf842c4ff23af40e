# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""BiSeNet-R18: sizes, strides and the heads that only training uses."""

import pytest
import torch
from torch.nn import functional as F

from gsvnet_model.networks.keyframe.bisenet import BiSeNet


def test_parameters() -> None:
    network = BiSeNet(19)
    counts = {
        name: sum(p.numel() for p in child.parameters()) for name, child in network.named_children()
    }
    assert sum(counts.values()) == 13_494_777
    assert sum(counts.values()) - counts["auxiliary"] == 12_894_163
    assert counts["context"] == 11_176_512
    assert counts["spatial"] == 91_968
    assert counts["fusion"] == 197_120


@pytest.mark.parametrize("size", [(64, 96), (45, 61)])
def test_logits_have_stride_8(size: tuple[int, int]) -> None:
    logits = BiSeNet(11).eval()(torch.zeros(1, 3, *size))
    assert logits.shape == (1, 11, -(-size[0] // 8), -(-size[1] // 8))


def test_auxiliary_heads_train_and_leave_the_logits_alone() -> None:
    network = BiSeNet(11)
    image = torch.randn(2, 3, 32, 64)
    logits, coarse, fine = network.forward_with_auxiliary(image)
    assert logits.shape == fine.shape == (2, 11, 4, 8)
    assert coarse.shape == (2, 11, 2, 4)
    labels = torch.randint(0, 11, (2, 32, 64))
    losses = [
        F.cross_entropy(F.interpolate(head, (32, 64), mode="bilinear", align_corners=True), labels)
        for head in (logits, coarse, fine)
    ]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in network.parameters())
    network.eval()
    with torch.inference_mode():
        assert torch.equal(network(image), network.forward_with_auxiliary(image)[0])
