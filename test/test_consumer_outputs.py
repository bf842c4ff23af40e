# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Labels and confidence in a consumer's size and classes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gsvnet_model.outputs.classes import CAMVID
from gsvnet_model.outputs.consumer import MAX_OUTPUT_PX, consumer_outputs, output_size
from gsvnet_model.outputs.merge import merge_classes

ALL = merge_classes(CAMVID, [])


def maps(height: int = 24, width: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return random labels and confidences."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CAMVID.num_classes, (height, width), np.uint8)
    return labels, random.integers(0, 256, (height, width), np.uint8)


def test_nothing_to_do_copies_nothing() -> None:
    labels, confidence = maps()
    out = consumer_outputs(labels, confidence, ALL, 24, 32)
    assert out[0] is labels
    assert out[1] is confidence


@pytest.mark.parametrize(
    ("wanted", "size"),
    [((0, 0), (360, 480)), ((180, 0), (180, 240)), ((0, 240), (180, 240)), ((99, 7), (99, 7))],
)
def test_missing_side_keeps_the_shape(wanted: tuple[int, int], size: tuple[int, int]) -> None:
    assert output_size(360, 480, *wanted) == size


@pytest.mark.parametrize(
    ("image", "wanted"), [((400_000, 32), (0, 320)), ((32, 400_000), (320, 0))]
)
def test_a_side_that_follows_from_the_shape_is_bounded(
    image: tuple[int, int], wanted: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_OUTPUT_PX} x .* from the shape"):
        output_size(*image, *wanted)
    assert output_size(*image, 0, 0) == image
    assert max(output_size(*image, 640, 320)) == 640


def test_odd_sizes_give_maps_of_one_size() -> None:
    labels, confidence = maps()
    for height, width in ((7, 5), (25, 31), (1, 1), (48, 9)):
        out = consumer_outputs(labels, confidence, ALL, height, width)
        assert [part.shape for part in out] == [(height, width)] * 2
        assert set(np.unique(out[0])) <= set(np.unique(labels))


def test_unconfident_pixels_are_unlabeled_with_confidence_zero() -> None:
    labels, confidence = maps()
    out_labels, out_confidence = consumer_outputs(labels, confidence, ALL, 24, 32, 0.5)
    unsure = confidence < 127.5
    assert 0 < unsure.sum() < unsure.size
    assert (out_labels[unsure] == 255).all()
    assert (out_confidence[unsure] == 0).all()
    np.testing.assert_array_equal(out_labels[~unsure], labels[~unsure])
    np.testing.assert_array_equal(out_confidence[~unsure], confidence[~unsure])


def test_maps_of_two_sizes_are_refused() -> None:
    labels, confidence = maps()
    with pytest.raises(ValueError, match="expected labels and confidence of one size"):
        consumer_outputs(labels, confidence[1:], ALL, 24, 32)


def test_groups_renumber_and_the_rest_is_unlabeled() -> None:
    merged = merge_classes(CAMVID, ["drivable: road, pavement", "vehicle: car"])
    assert merged.table.names == ("drivable", "vehicle")
    assert merged.table.palette[0] == CAMVID.palette[CAMVID.names.index("road")]
    labels, confidence = maps()
    out_labels, out_confidence = consumer_outputs(labels, confidence, merged, 24, 32)
    for name, merged_id in (("road", 0), ("pavement", 0), ("car", 1), ("sky", 255)):
        assert (out_labels[labels == CAMVID.names.index(name)] == merged_id).all()
    assert (out_confidence[out_labels == 255] == 0).all()
    assert (out_confidence[out_labels == 0] == confidence[out_labels == 0]).all()


def test_star_takes_what_is_left_wherever_it_stands() -> None:
    merged = merge_classes(CAMVID, ["other: *", "road: road"])
    expected = [0 if name != "road" else 1 for name in CAMVID.names]
    assert merged.lookup[: CAMVID.num_classes].tolist() == expected
    assert (merged.lookup[CAMVID.num_classes :] == 255).all()


def test_dropping_the_last_class_changes_ids() -> None:
    groups = [f"{name}: {name}" for name in CAMVID.names]
    assert not merge_classes(CAMVID, groups).changes_ids
    assert merge_classes(CAMVID, groups[:-1]).changes_ids


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        (["road"], "expected a group of the form"),
        (["road:"], "expected a group of the form"),
        ([": road"], "expected a group of the form"),
        (["a: unicorn"], "got 'unicorn'"),
        (["a: road", "b: road"], "'road' twice"),
        (["a: *", "b: *"], "'\\*' twice"),
        (["a: road", "a: sky"], "every group name once"),
        ([f"{name}: {name}" for name in CAMVID.names] + ["none: *"], "got none left"),
    ],
)
def test_wrong_groups_are_refused(groups: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        merge_classes(CAMVID, groups)
