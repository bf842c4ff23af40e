# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Logit adjustment: one additive logit per class, fitted for the highest mIoU.

Class weights in the training make rare classes count more, or they would not be learned; the
trained network then predicts too many of them. The additive logits correct that.

See: Menon et al., "Long-tail learning via logit adjustment", who compute the additive logits from
the frequencies of the classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_lab.data.camvid import LabelledImage
from gsvnet_lab.evaluation.metrics import ConfusionMatrix
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel

_CHANGES: NDArray[np.float64] = np.arange(-30, 31) / 20
"""Candidate changes of the additive logit of one class in one round."""

_LEAST_GAIN = 1e-6
"""Points of mIoU that a change of a logit by 1 has to gain, or the logit stays as it is."""

_MAX_ROUNDS = 10
_PIXEL_STRIDE = 3
"""Every n-th row and column of pixels is judged: neighbours say the same."""


@dataclass(frozen=True)
class LogitAdjustment:
    """Additive logits with the scores before and after.

    Attributes:
        values: (K,) values to add to the logits, 0 on average.
        miou_before: mIoU of the images without the values, percent.
        miou_after: mIoU of the images with the values, percent.
    """

    values: tuple[float, ...]
    miou_before: float
    miou_after: float


def fit_logit_adjustment(
    model: SegmentationModel, stills: Sequence[LabelledImage]
) -> LogitAdjustment:
    """Fit the additive logits on labelled images; training images will do.

    Args:
        model: the weights. Additive logits that they have already are included in the result.
        stills: pairs of an image (H, W, 3) uint8 RGB and labels (H, W) uint8, 255 where there is
            no truth.

    Raises:
        ValueError: if no pixel is labelled.
    """
    logits, truth = [], []
    for image, labels in tqdm(stills, desc="labelling"):
        own = model.segment(image_tensor(image, model.device))
        full = F.interpolate(own, labels.shape, mode="bilinear", align_corners=True)
        judged = labels[::_PIXEL_STRIDE, ::_PIXEL_STRIDE].ravel()
        kept = full[0, :, ::_PIXEL_STRIDE, ::_PIXEL_STRIDE].flatten(1).half().cpu().numpy()
        logits.append(kept[:, judged < len(kept)])
        truth.append(judged[judged < len(kept)])
    fit = best_adjustment(logits, truth)
    already = model.info.logit_adjustment or (0.0,) * len(fit.values)
    total = np.add(fit.values, already)
    return LogitAdjustment(tuple((total - total.mean()).tolist()), fit.miou_before, fit.miou_after)


def best_adjustment(
    logits: Sequence[NDArray[np.floating]], truth: Sequence[NDArray[np.uint8]]
) -> LogitAdjustment:
    """Raise mIoU class by class, round by round, until no change of a logit raises it.

    Classes that no pixel is labelled as take no part, since these images do not tell how often
    they should be predicted: their additive logit is 0, no pixel is given to them, and mIoU is
    that of the other classes.

    Args:
        logits: one (K, pixels) array per image.
        truth: one (pixels,) uint8 array of class ids 0..K-1 per image.

    Raises:
        ValueError: if no pixel is labelled.
    """
    values = np.zeros(len(logits[0]))
    occur = np.flatnonzero(np.bincount(np.concatenate(truth), minlength=len(values)))
    if not len(occur):
        raise ValueError("expected stills with labels, got none with a labelled pixel")
    number_among = np.zeros(len(values), np.uint8)
    number_among[occur] = np.arange(len(occur))
    fit = _best_adjustment([each[occur] for each in logits], [number_among[each] for each in truth])
    values[occur] = fit.values
    return dataclasses.replace(fit, values=tuple(values.tolist()))


def _best_adjustment(
    logits: Sequence[NDArray[np.floating]], truth: Sequence[NDArray[np.uint8]]
) -> LogitAdjustment:
    """Do as `best_adjustment` where every class occurs."""
    num_classes = len(logits[0])
    bias = np.zeros(num_classes)
    miou_before = float(_scores(logits, truth, bias, 0)[_CHANGES == 0].item())
    for _ in range(_MAX_ROUNDS):
        before = bias.copy()
        for index in range(num_classes):
            scores = _scores(logits, truth, bias, index)
            chosen = int(np.argmax(scores - _LEAST_GAIN * np.abs(_CHANGES)))
            bias[index] += _CHANGES[chosen]
        if np.array_equal(bias, before):
            break
    return LogitAdjustment(tuple((bias - bias.mean()).tolist()), miou_before, float(scores[chosen]))


def _scores(
    logits: Sequence[NDArray[np.floating]],
    truth: Sequence[NDArray[np.uint8]],
    bias: NDArray[np.float64],
    index: int,
) -> NDArray[np.float64]:
    """Return the mIoU in percent for every candidate change of one class's additive logit.

    A pixel gets the class from the first candidate on that lifts its logit above the best other
    one, so one pass over the pixels gives the confusion matrices of all candidates.

    Args:
        logits: one (K, pixels) array per image.
        truth: one (pixels,) array of class ids per image.
        bias: (K,) present additive logits.
        index: the class whose logit changes.

    Returns:
        (len(_CHANGES),) mIoU.
    """
    num_classes, num_changes = len(bias), len(_CHANGES)
    shape = (num_classes, num_classes, num_changes + 1)
    counts = np.zeros(np.prod(shape), np.int64)
    for values, classes in zip(logits, truth, strict=True):
        lifted = torch.from_numpy(values).float() + torch.from_numpy(bias).float()[:, None]
        own = lifted[index].clone()
        lifted[index] = -torch.inf
        best, other = lifted.max(0)
        taken_from = np.searchsorted(_CHANGES, (best - own).numpy(), side="right")
        cell = (classes.astype(np.int64) * num_classes + other.numpy()) * (num_changes + 1)
        counts += np.bincount(cell + taken_from, minlength=len(counts))
    by_change = counts.reshape(shape)
    taken = by_change.cumsum(2)[..., :num_changes]
    confusion = by_change.sum(2)[..., None] - taken  # (truth, label, change)
    confusion[:, index] += taken.sum(1)
    matrices = [ConfusionMatrix(num_classes) for _ in _CHANGES]
    for change, matrix in enumerate(matrices):
        matrix.counts[:, :-1] = confusion[..., change]
    return np.array([matrix.miou() for matrix in matrices])
