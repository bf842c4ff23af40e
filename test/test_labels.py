# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Labels and confidence: the same as interpolating every class, without doing so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gsvnet_model.ops import labels
from gsvnet_model.ops.cpu.loops import compiled
from gsvnet_model.ops.labels import labels_and_confidence, labels_on_device
from gsvnet_model.outputs.classes import MAX_CLASSES

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Labeller = Callable[..., Arrays]
Size = tuple[int, int]

GRID: Size = (12, 20)
IMAGE: Size = (83, 150)


def by_interpolation(logits: Tensor, height: int, width: int, temperature: float = 1.0) -> Arrays:
    """Take the path of other devices with CPU tensors."""
    found = labels_on_device(logits, height, width, temperature)
    assert found.dtype == torch.uint8
    return found[0].numpy(), found[1].numpy()


@pytest.fixture(params=["compiled loop", "interpolation"])
def label(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Labeller]:
    """Both ways to label, made to split even small images."""
    monkeypatch.setattr(labels, "_PIXELS_PER_THREAD", 1 << 12)
    monkeypatch.setattr(labels, "_INTERPOLATED_VALUES", 1 << 16)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield labels_and_confidence if request.param == "compiled loop" else by_interpolation
    torch.set_num_threads(threads)


def make_logits(kind: str, num_classes: int, grid: Size) -> Tensor:
    random = torch.Generator().manual_seed(len(kind) + num_classes)
    noise = torch.randn(1, num_classes, *grid, generator=random)
    coarse = 5 * torch.randn(1, num_classes, 3, 4, generator=random)
    if kind == "noise":
        return noise[0]
    if kind == "smooth":
        return F.interpolate(coarse, grid, mode="bicubic", align_corners=True)[0]
    if kind == "blocks":
        return F.interpolate(coarse, grid, mode="nearest")[0] + 0.1 * noise[0]
    assert kind == "offset", kind
    return noise[0] + 1000


def interpolate(values: Tensor, image: Size, align_corners: bool = True) -> Tensor:
    return F.interpolate(values[None], image, mode="bilinear", align_corners=align_corners)[0]


def wrong_labels(found: NDArray[np.uint8], logits: Tensor, align_corners: bool = True) -> float:
    """Return the share of pixels whose class is beaten by more than rounding."""
    height, width = found.shape
    interpolated = interpolate(logits, (height, width), align_corners)
    of_label = interpolated.gather(0, torch.from_numpy(found)[None].long())[0]
    beaten = interpolated.amax(0) - of_label > 1e-5 * logits.abs().max()
    return beaten.double().mean().item()


def check(found: Arrays, logits: Tensor, image: Size) -> None:
    found_labels, confidence = found
    assert found_labels.shape == confidence.shape == image
    assert found_labels.dtype == confidence.dtype == np.uint8
    assert wrong_labels(found_labels, logits) == 0
    probabilities = interpolate(torch.softmax(logits, 0), image)
    p = probabilities.gather(0, torch.from_numpy(found_labels)[None].long())[0].double().numpy()
    # One level apart at most, and that only where rounding decides.
    assert (confidence >= np.floor(255 * p - 0.01)).all()
    assert (confidence <= np.floor(255 * p + 0.01)).all()


@pytest.mark.parametrize("num_classes", [1, 2, 11, 19, 60, MAX_CLASSES])
@pytest.mark.parametrize("kind", ["noise", "smooth", "blocks", "offset"])
def test_equals_interpolating_every_class(label: Labeller, kind: str, num_classes: int) -> None:
    logits = make_logits(kind, num_classes, GRID)
    check(label(logits, *IMAGE), logits, IMAGE)


@pytest.mark.parametrize(
    ("grid", "image"),
    [
        ((12, 20), (96, 160)),
        ((13, 9), (101, 71)),
        ((12, 20), (12, 20)),
        ((12, 20), (13, 21)),
        ((40, 30), (17, 11)),
        ((12, 20), (5, 300)),
        ((1, 20), (9, 77)),
        ((20, 1), (77, 9)),
        ((1, 1), (4, 5)),
        ((8, 9), (1, 30)),
        ((8, 9), (30, 1)),
        ((8, 9), (1, 1)),
        ((2, 2), (1, 2)),
    ],
)
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_sizes(label: Labeller, kind: str, grid: Size, image: Size) -> None:
    logits = make_logits(kind, 11, grid)
    check(label(logits, *image), logits, image)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(label: Labeller, dtype: torch.dtype) -> None:
    logits = make_logits("smooth", 19, GRID).to(dtype)
    check(label(logits, *IMAGE), logits.float(), IMAGE)


def test_strides_and_gradients_do_not_matter(label: Labeller) -> None:
    logits = make_logits("noise", 19, GRID)
    channels_last = logits[None].contiguous(memory_format=torch.channels_last)[0]
    expected = label(logits, *IMAGE)
    for same in (channels_last, logits.clone().requires_grad_()):
        found = label(same, *IMAGE)
        np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(label(logits[:, :1].expand(-1, 6, -1), 6, 50)[0].std(0), 0)


def test_a_class_that_wins_in_no_cell_can_win_between_them(label: Labeller) -> None:
    logits = torch.tensor([[[9.0, 0.0]], [[0.0, 9.0]], [[8.0, 8.0]]])
    found, _ = label(logits, 1, 91)
    assert np.unique(found).tolist() == [0, 1, 2]
    assert found[0, 45] == 2
    check(label(logits, 1, 91), logits, (1, 91))


def test_exact_ties_take_one_of_the_tied(label: Labeller) -> None:
    found, confidence = label(torch.tensor([0.0, 1.0, 1.0])[:, None, None].expand(3, 4, 5), 30, 40)
    assert set(np.unique(found)) <= {1, 2}
    assert np.unique(confidence).tolist() == [int(255 * np.e / (1 + 2 * np.e))]


def test_certainty_is_255(label: Labeller) -> None:
    logits = torch.zeros(5, *GRID)
    logits[3] = 100
    found, confidence = label(logits, *IMAGE)
    assert (found == 3).all()
    assert (confidence == 255).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_logits_have_no_confidence(label: Labeller, value: float) -> None:
    logits = make_logits("smooth", 11, GRID)
    expected = label(logits, 12, 20)
    logits[4, 6, 7] = value
    found, confidence = label(logits, 12, 20)
    assert found.max() < 11
    assert confidence[6, 7] == 0
    np.testing.assert_array_equal(found[:5], expected[0][:5])
    np.testing.assert_array_equal(confidence[:5], expected[1][:5])
    assert label(torch.full((3, 4, 5), value), 30, 40)[1].max() == 0


def test_temperature_divides_the_logits_of_the_confidence_only(label: Labeller) -> None:
    logits = make_logits("smooth", 11, GRID)
    plain, _ = label(logits, *IMAGE)
    warm, confidence = label(logits, *IMAGE, 2.5)
    np.testing.assert_array_equal(warm, plain)
    _, expected = label(logits / 2.5, *IMAGE)
    np.testing.assert_array_equal(confidence, expected)
    with pytest.raises(ValueError, match="temperature"):
        labels_and_confidence(logits, *IMAGE, 0.0)


def test_align_corners_matters() -> None:
    logits = make_logits("smooth", 19, GRID)
    found, _ = labels_and_confidence(logits, *IMAGE)
    assert wrong_labels(found, logits, align_corners=False) > 0.01


def test_concurrent_calls_equal_calls_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_PIXELS_PER_THREAD", 1 << 12)
    many = [make_logits("noise", num_classes, (24, 32)) for num_classes in range(2, 18)]
    in_turn = [labels_and_confidence(logits, 192, 256) for logits in many]
    with ThreadPoolExecutor(4) as callers:
        at_once = list(callers.map(lambda logits: labels_and_confidence(logits, 192, 256), many))
    for expected, found in zip(in_turn, at_once, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_compiles_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")

    def double(x: int) -> int:
        return 2 * x

    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(double)
    assert compiled(double)(21) == 42


def test_is_much_faster_than_interpolating_every_class() -> None:
    logits = make_logits("smooth", 19, (64, 128))

    def seconds(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    labels_and_confidence(logits, 1, 1)
    ours, theirs = [], []
    for _ in range(5):
        ours.append(seconds(lambda: labels_and_confidence(logits, 512, 1024)))
        theirs.append(seconds(lambda: interpolate(logits, (512, 1024)).argmax(0)))
    assert min(ours) < min(theirs) / 3


@pytest.mark.parametrize(
    ("logits", "height", "width", "message"),
    [
        (torch.zeros(1, 3, 4, 5), 8, 8, r"\(K, h, w\) logits, got \(1, 3, 4, 5\)"),
        (torch.zeros(3, 4, 5, dtype=torch.int32), 8, 8, "got .* torch.int32"),
        (torch.zeros(0, 4, 5), 8, 8, "1 to 254 classes, got 0"),
        (torch.zeros(MAX_CLASSES + 1, 4, 5), 8, 8, "1 to 254 classes, got 255"),
        (torch.zeros(3, 0, 5), 8, 8, "1x1 cells .width x height., got 5x0"),
        (torch.zeros(3, 4, 0), 8, 8, "1x1 cells .width x height., got 0x4"),
        (torch.zeros(3, 4, 5), 0, 8, "1x1 pixels .width x height., got 8x0"),
        (torch.zeros(3, 4, 5), 8, -1, "1x1 pixels .width x height., got -1x8"),
    ],
)
def test_refuses(logits: Tensor, height: int, width: int, message: str) -> None:
    for refuses in (labels_and_confidence, labels_on_device):
        with pytest.raises(ValueError, match=message):
            refuses(logits, height, width)
