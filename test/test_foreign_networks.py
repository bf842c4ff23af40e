# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Keyframe networks of one's own: what they compute is what the model computes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gsvnet_model import CAMVID, ModelInfo, SegmentationModel
from gsvnet_model.checkpoint import default_weights, read_networks
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.fuse_batch_norm import fuse_batch_norm, fuse_batch_norm_if_equal
from gsvnet_model.networks.keyframe import KEYFRAME_NETWORKS, build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork

CLASSES = CAMVID.num_classes


def conv(in_channels: int = 8, out_channels: int = 8) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


class Skipping(nn.Sequential):
    """Runs its layers in order, and adds what the normalisation was given."""

    def forward(self, x: Tensor) -> Tensor:
        before: Tensor = self[0](x)
        after: Tensor = self[1](before)
        return after + before


class Taps(nn.Module):
    """Reads the outputs of a sequence's layers one by one, as perceptual losses do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        taps = []
        for layer in self.layers:
            x = layer(x)
            taps.append(x)
        logits: Tensor = self.head(torch.cat(taps[1:], 1))
        return logits


class ConvAlone(nn.Module):
    """Calls the convolution of a sequence by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(3), nn.BatchNorm2d(8))
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(x) - self.layers[0](x))
        return logits


def with_hook() -> nn.Module:
    network = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.Conv2d(8, CLASSES, 1))
    network[1].register_forward_hook(lambda module, inputs, output: 3 * output)
    return network


def with_shared_relu() -> nn.Module:
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(relu, conv(3), relu, nn.BatchNorm2d(8), relu, nn.Conv2d(8, CLASSES, 1))


class SharedRelu(nn.Module):
    """Uses one activation after a normalisation and on a map that it needs again."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.stem = nn.Sequential(conv(3), nn.BatchNorm2d(8), self.relu)
        self.more = conv()
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.more(self.stem(x))
        logits: Tensor = self.head(self.relu(x) + x)
        return logits


def with_weight_norm() -> nn.Module:
    layer = torch.nn.utils.weight_norm(conv(3))
    network = nn.Sequential(layer, nn.BatchNorm2d(8), nn.Conv2d(8, CLASSES, 1))
    network(torch.randn(2, 3, 8, 8))  # leaves weights that PyTorch does not copy
    return network


def with_parametrised_weight_norm() -> nn.Module:
    layer = torch.nn.utils.parametrizations.weight_norm(conv(3))
    return nn.Sequential(layer, nn.BatchNorm2d(8), nn.Conv2d(8, CLASSES, 1))


def without_running_stats() -> nn.Module:
    norm = nn.BatchNorm2d(8, track_running_stats=False)
    return nn.Sequential(conv(3), norm, nn.Conv2d(8, CLASSES, 1))


def scripted() -> nn.Module:
    network = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, CLASSES, 1))
    return torch.jit.script(network.eval())


def traced() -> nn.Module:
    network = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, CLASSES, 1))
    return torch.jit.trace(network.eval(), torch.randn(1, 3, 64, 96))  # type: ignore[no-untyped-call,no-any-return]


class Always(nn.Module):
    """Normalises by the statistics of the image, whatever is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.Conv2d(8, CLASSES, 1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits

    def train(self, mode: bool = True) -> Always:
        super().train(mode)
        self.layers[1].train()
        return self


def model_of(keyframe: nn.Module, **info: object) -> SegmentationModel:
    torch.manual_seed(0)
    propagation = PropagationNetwork(PropagationConfig(CLASSES))
    normalisation = Normalisation.swiftnet()
    return SegmentationModel(
        keyframe,
        propagation,
        ModelInfo("foreign", CAMVID, normalisation, **info),  # type: ignore[arg-type]
    )


def give_statistics(network: nn.Module) -> None:
    """Give normalisations statistics that are not those of a fresh layer."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
            if module.running_mean is not None and module.running_var is not None:
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.2, 3.0)


def plain_logits(network: nn.Module, image: Tensor) -> Tensor:
    """Run a network as it is, evaluated."""
    network.eval()
    with torch.no_grad():
        logits: Tensor = network(Normalisation.swiftnet().apply(image))
    return logits


FOREIGN: list[tuple[Callable[[], nn.Module], bool]] = [
    (lambda: nn.Sequential(Skipping(conv(3), nn.BatchNorm2d(8)), nn.Conv2d(8, CLASSES, 1)), False),
    (Taps, True),
    (ConvAlone, True),
    (with_hook, False),
    (with_shared_relu, False),
    (SharedRelu, False),
    (with_weight_norm, False),
    (with_parametrised_weight_norm, False),
    (without_running_stats, False),
    (scripted, False),
    (traced, False),
    (Always, False),
]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "warns"),
    FOREIGN,
    ids=[getattr(make, "__name__", "other").strip("<>") for make, _ in FOREIGN],
)
def test_foreign_networks_compute_what_they_computed(
    make: Callable[[], nn.Module], warns: bool
) -> None:
    torch.manual_seed(1)
    network = make()
    give_statistics(network)
    image = torch.randint(0, 256, (1, 40, 56, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        got = model_of(network).segment(image)
    said = [str(item.message) for item in caught if item.category is RuntimeWarning]
    assert len(said) == warns, said
    assert all("slower: fused, it gives other logits" in text for text in said)
    torch.testing.assert_close(got, plain_logits(network, image), rtol=0, atol=1e-4)


def test_a_network_that_fails_on_the_sample_is_not_fused_and_the_warning_says_why() -> None:
    class FixedSize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.Conv2d(8, CLASSES, 1))

        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[2:] == (40, 56), "made for one size"
            logits: Tensor = self.layers(x)
            return logits

    network = FixedSize()
    give_statistics(network)
    image = torch.randint(0, 256, (1, 40, 56, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    with pytest.warns(RuntimeWarning, match="FixedSize.*96x64 pixels.*made for one size"):
        got = model_of(network).segment(image)
    torch.testing.assert_close(got, plain_logits(network, image), rtol=0, atol=1e-5)


def test_what_runs_in_order_is_fused_and_a_hook_elsewhere_still_fires() -> None:
    class Block(nn.Sequential):
        """A sequence with a name of its own, as in torchvision."""

    network = nn.Sequential(
        Block(conv(3), nn.BatchNorm2d(8), nn.ReLU()),
        Block(conv(), nn.BatchNorm2d(8), nn.LeakyReLU(0.2)),
        nn.Conv2d(8, CLASSES, 1),
    )
    give_statistics(network)
    seen: list[int] = []
    network.get_submodule("1.1").register_forward_hook(lambda *_: seen.append(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fused = fuse_batch_norm_if_equal(network)
    norms = [name for name, module in fused.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == ["1.1"]
    seen.clear()
    fused(torch.randn(1, 3, 8, 8))
    assert seen == [1]


def test_the_network_that_was_given_stays_as_it_was() -> None:
    network = nn.Sequential(conv(3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, CLASSES, 1))
    give_statistics(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fuse_batch_norm_if_equal(network.train())
    assert network.training and network[0].training
    assert not network[2].inplace
    assert all(value.requires_grad for value in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("name", sorted(KEYFRAME_NETWORKS))
def test_networks_of_this_package_are_fused_and_nothing_is_said(name: str) -> None:
    torch.manual_seed(2)
    network = build_keyframe_network(name, CLASSES)
    give_statistics(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = fuse_batch_norm_if_equal(network)
    expected = fuse_batch_norm(network)
    assert [type(module) for module in checked.modules()] == [
        type(module) for module in expected.modules()
    ]
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(checked(image), expected(image))


def test_the_comparison_costs_two_small_images_and_nothing_where_nothing_can_be_fused() -> None:
    seen: list[tuple[int, ...]] = []
    keyframe = read_networks(default_weights())[0]
    keyframe.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    fuse_batch_norm_if_equal(keyframe)
    assert seen == 2 * [(1, 3, 64, 96)]
    seen.clear()
    nothing = Taps().layers[:1]
    nothing.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    fuse_batch_norm_if_equal(nothing)
    assert not seen


class Returns(nn.Module):
    """A network that returns its logits in a way of its own."""

    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CLASSES, 1)
        self.wrap = wrap

    def forward(self, x: Tensor) -> object:
        return self.wrap(self.conv(x))


IMAGE = torch.randint(0, 256, (1, 20, 30, 3), dtype=torch.uint8).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: {"out": logits, "aux": logits[:, :2]},
        lambda logits: {"aux": logits[:, :2], "out": logits},
        lambda logits: (logits, logits[:, :2]),
        lambda logits: [logits],
    ],
    ids=["torchvision", "auxiliary first", "tuple", "list"],
)
def test_logits_are_found_where_networks_put_them(wrap: Callable[[Tensor], object]) -> None:
    network = Returns(wrap)
    expected = network.conv(Normalisation.swiftnet().apply(IMAGE)).detach()
    torch.testing.assert_close(model_of(network).segment(IMAGE), expected)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: {"logits": logits}, r"dictionary with 'out'.*got dict with \['logits'\]"),
        (lambda logits: {"out": [logits]}, "got dict"),
        (lambda logits: (), "got tuple"),
        (lambda logits: None, "got NoneType"),
        (lambda logits: logits[:, :1], r"shape \(1, 11, h, w\).*got \(1, 1, 20, 30\)"),
        (lambda logits: logits[:, :-1], r"got \(1, 10, 20, 30\)"),
        (lambda logits: logits[0], r"got \(11, 20, 30\)"),
        (lambda logits: torch.cat((logits, logits)), r"1 image\(s\), 11 classes; got \(2, 11"),
        (lambda logits: logits[..., :0], r"got \(1, 11, 20, 0\)"),
        (lambda logits: logits.mean((2, 3)), r"got \(1, 11\)"),
        (lambda logits: logits.to(torch.int64), "floating logits.*torch.int64"),
    ],
)
def test_other_outputs_are_refused(wrap: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_of(Returns(wrap)).segment(IMAGE)


def test_loading_weights_imports_their_network_alone() -> None:
    script = (
        "import sys; from gsvnet_model import load_model; load_model(device='cpu');"
        "print(*(name for name in sys.modules if name.startswith('gsvnet_model.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert "gsvnet_model.networks.keyframe.ddrnet" in modules
    for name in ("networks.keyframe.swiftnet", "networks.keyframe.bisenet", "ops.cuda"):
        assert f"gsvnet_model.{name}" not in modules
