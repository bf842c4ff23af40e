# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Costs against the paper's table and against counting by hand."""

from __future__ import annotations

import pytest
import torch
from models import TinyKeyframeNetwork

from gsvnet_lab.benchmark.complexity import measure_complexity
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.outputs.classes import CAMVID, CITYSCAPES


def test_paper() -> None:
    """Paper's table of costs: 47.2 MB and 1.6 MB, 58.5 G and 2.8 G, 16.7 G at interval 4."""
    info = ModelInfo("swiftnet_r18", CITYSCAPES, Normalisation.swiftnet(), input_scale=0.75)
    with torch.device("meta"):
        keyframe = build_keyframe_network("swiftnet_r18", 19)
        propagation = PropagationNetwork(PropagationConfig(19))
    cost = measure_complexity(keyframe, propagation, info, (1024, 2048))
    assert cost.keyframe.megabytes == pytest.approx(47.2, abs=0.05)
    assert cost.propagation.megabytes == pytest.approx(1.6, abs=0.05)
    assert cost.keyframe.multiply_adds == pytest.approx(58.5e9, rel=0.006)
    assert cost.propagation.multiply_adds == pytest.approx(2.8e9, rel=0.04)
    assert cost.multiply_adds(4) == pytest.approx(16.7e9, rel=0.01)


def test_by_hand() -> None:
    info = ModelInfo("tiny", CAMVID, Normalisation.swiftnet(), input_scale=0.5)
    keyframe = TinyKeyframeNetwork(11)
    before = keyframe.conv.weight.clone()
    cost = measure_complexity(keyframe, PropagationNetwork(PropagationConfig(11)), info, (96, 128))
    assert cost.keyframe.parameters == 11 * (3 * 7 * 7 + 1)
    # One convolution at stride 4 of a 48 x 64 input.
    assert cost.keyframe.multiply_adds == 12 * 16 * 11 * 3 * 7 * 7
    assert cost.multiply_adds(1) == cost.keyframe.multiply_adds
    assert torch.equal(keyframe.conv.weight, before)


def test_exception() -> None:
    info = ModelInfo("tiny", CAMVID, Normalisation.swiftnet())
    with pytest.raises(ValueError, match="at least 1x1 pixels"):
        measure_complexity(
            TinyKeyframeNetwork(11), PropagationNetwork(PropagationConfig(11)), info, (0, 128)
        )
