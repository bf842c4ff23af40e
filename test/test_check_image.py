# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Images that callers give: taken, or refused with what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from models import random_model
from numpy.typing import NDArray
from PIL import Image

from gsvnet_model import VideoSegmenter
from gsvnet_model.images.check_image import checked_image

IMAGE: NDArray[np.uint8] = np.arange(32 * 40 * 3, dtype=np.uint8).reshape(32, 40, 3)


def test_an_array_is_not_copied() -> None:
    assert checked_image(IMAGE) is IMAGE
    assert np.shares_memory(checked_image(IMAGE[:, ::2]), IMAGE)


def read_only() -> NDArray[np.uint8]:
    image = IMAGE.copy()
    image.flags.writeable = False
    return image


@pytest.mark.parametrize(
    "image",
    [
        IMAGE[::-1],
        IMAGE[..., ::-1],
        read_only(),
        np.frombuffer(IMAGE.tobytes(), np.uint8).reshape(IMAGE.shape),
        np.broadcast_to(IMAGE[:1], IMAGE.shape),
        np.ma.masked_array(IMAGE),
        Image.fromarray(IMAGE),
    ],
    ids=["upside down", "BGR", "read-only", "bytes", "broadcast", "masked", "Pillow"],
)
def test_what_is_taken(image: object) -> None:
    checked = checked_image(image)
    np.testing.assert_array_equal(checked, np.asarray(image))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyTorch warns of arrays that it must not write to
        torch.from_numpy(checked)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got NoneType; convert it with np.asarray"),
        (IMAGE.tolist(), "got list; convert"),
        ("image.png", "got str"),
        (b"\xff\xd8", "got bytes"),
        (3, "got int"),
        (np.uint8(3), r"got \(\) uint8"),
        (IMAGE.astype(np.float32) / 255, r"float32; values of 0\.\.1 become grey levels by"),
        (IMAGE.astype(np.int64), r"got \(32, 40, 3\) int64"),
        (IMAGE.astype(bool), "bool"),
        (IMAGE.astype(object), "object"),
        (IMAGE[..., 0], "three equal channels"),
        (np.zeros((32, 40, 4), np.uint8), "leave the fourth channel out"),
        (np.zeros((32, 40, 1), np.uint8), r"got \(32, 40, 1\) uint8"),
        (IMAGE.transpose(2, 0, 1), "put the channels last"),
        (IMAGE[None], "one image at a time"),
        (Image.fromarray(IMAGE).convert("L"), "three equal channels"),
    ],
    ids=range(16),
)
def test_what_is_refused(image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_image(image)


def test_a_stream_takes_and_refuses_the_same() -> None:
    segmenter = VideoSegmenter(random_model())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = segmenter.step(read_only())
    assert step.labels.shape == (32, 40)
    for image, message in ((None, "got NoneType"), (IMAGE.tolist(), "got list")):
        with pytest.raises(ValueError, match=message):
            segmenter.step(image)  # type: ignore[arg-type]
    assert not segmenter.step(IMAGE).is_keyframe  # the stream goes on
