# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Networks that say from two frames alone how far labels have come: what others decide by.

Both take features of the last keyframe and of the current frame, that the weights compute anyhow,
to one number. They are written from the descriptions of the methods, on the features of this
project's networks; none of their authors' weights is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from gsvnet_lab.policy_study.keyframe_age_table import KeyframeAgeTable, Video, disagreement
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model import SegmentationModel
from gsvnet_model.ops.labels import labels_and_confidence

Baseline: TypeAlias = Literal["flow score", "deviation"]
"""flow score: features of the flow network on the two frames -> percent of pixels in which labels
propagated from the keyframe are unlike a keyframe's (after DVSNet's expected confidence score).
deviation: difference of the intra network's features of the two frames -> percent of pixels in
which two keyframes there are unlike (after Li, Shi and Lin's low-latency segmentation).
"""
BASELINES: tuple[Baseline, ...] = get_args(Baseline)

_CELLS = (8, 12)
"""Rows and columns to which features are averaged."""
_POOLED = (2, 3)
_WIDTH = 32
_PAIRS_PER_ITERATION = 48
_LEARNING_RATE = 2e-3
_BATCH = 64


class PairNetwork(nn.Module):
    """Features of two frames to percent of pixels.

    Args:
        channels: C of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, _WIDTH, 3, padding=1)
        self.hidden = nn.Linear(_WIDTH * _POOLED[0] * _POOLED[1], _WIDTH)
        self.score = nn.Linear(_WIDTH, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return (N,) percent, 0..100, of (N, C, 8, 12) features."""
        seen = F.leaky_relu(self.conv(self.norm(features)), 0.1)
        pooled = F.adaptive_avg_pool2d(seen, _POOLED).flatten(1)
        hidden = F.dropout(F.leaky_relu(self.hidden(pooled), 0.1), 0.5, self.training)
        return 100 * torch.sigmoid(self.score(hidden)[:, 0])


def check_has(baseline: Baseline, model: SegmentationModel) -> None:
    """Check that the weights have the features that a baseline needs.

    Raises:
        ValueError: if they have not.
    """
    if baseline == "deviation" and model.propagation.intra is None:
        raise ValueError("deviation: expected weights with an intra network, got some without")


@torch.inference_mode()
def grid_images(model: SegmentationModel, video: Video) -> Tensor:
    """Return the (T, 3, h, w) normalised images of a video on the grid."""
    return torch.cat([model.grid_input(image).normalised for image, _ in video])


@torch.inference_mode()
def pair_features(
    baseline: Baseline, model: SegmentationModel, keyframes: Tensor, frames: Tensor
) -> Tensor:
    """Return (N, C, 8, 12) float32 features of (N, 3, h, w) keyframes and later frames."""
    if baseline == "flow score":
        flow = model.propagation.flow
        # What the last convolution turns into flow.
        heads: list[Tensor] = []
        hook = flow.head.register_forward_pre_hook(lambda _, inputs: heads.append(inputs[0]))
        try:
            flow(frames, keyframes)
        finally:
            hook.remove()
        return F.adaptive_avg_pool2d(heads[0].contiguous(), _CELLS)
    intra = model.propagation.intra
    assert intra is not None
    difference = intra.body(frames) - intra.body(keyframes)
    return F.adaptive_avg_pool2d(difference.abs().contiguous(), _CELLS)


def fit_baseline(
    baseline: Baseline,
    model: SegmentationModel,
    videos: Sequence[Video],
    tables: Sequence[KeyframeAgeTable],
    num_pairs: int = 2000,
    iterations: int = 500,
    seed: int = 0,
) -> PairNetwork:
    """Train a network on pairs of frames of videos.

    Args:
        baseline: which one.
        model: the weights whose features it takes.
        videos: without cuts.
        tables: their pair tables.
        num_pairs: how many pairs of frames, about.
        iterations: steps of the training.
        seed: of the pairs and of the training.

    Raises:
        ValueError: if the weights do not have the features.
    """
    check_has(baseline, model)
    rng = np.random.default_rng(seed)
    share = num_pairs / sum(len(video) for video in videos)
    inputs, targets = [], []
    for video, table in zip(videos, tables, strict=True):
        images = grid_images(model, video)
        wanted = (
            disagreement(table) if baseline == "flow score" else _keyframe_changes(model, video)
        )
        frame = rng.integers(1, len(video), max(1, round(share * len(video))))
        distance = rng.integers(1, np.minimum(frame, table.num_distances - 1) + 1)
        for start in range(0, len(frame), _BATCH):
            part = slice(start, start + _BATCH)
            now, before = frame[part], frame[part] - distance[part]
            inputs.append(pair_features(baseline, model, images[before], images[now]))
            place = distance[part] if baseline == "flow score" else before
            targets.append(torch.from_numpy(wanted[now, place]).float().to(model.device))
    return _trained(torch.cat(inputs).clone(), torch.cat(targets).clone(), iterations, seed)


def predicted_disagreement(
    baseline: Baseline,
    network: PairNetwork,
    model: SegmentationModel,
    video: Video,
    num_distances: int,
) -> NDArray[np.float64]:
    """Return (T, D) percent that a network sees between frame t and keyframe t - d."""
    images = grid_images(model, video)
    found = np.zeros((len(video), num_distances))
    with torch.inference_mode():
        for distance in range(1, min(num_distances, len(video))):
            for start in range(distance, len(video), _BATCH):
                now = slice(start, min(start + _BATCH, len(video)))
                before = slice(now.start - distance, now.stop - distance)
                features = pair_features(baseline, model, images[before], images[now])
                found[now, distance] = network(features).cpu().numpy()
    return found


def save_baselines(path: Path, networks: Mapping[Baseline, PairNetwork]) -> None:
    """Write networks as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            f"{baseline}.{name}": value.cpu().contiguous()
            for baseline, network in networks.items()
            for name, value in network.state_dict().items()
        },
        path,
    )


def load_baselines(path: Path, device: torch.device) -> dict[Baseline, PairNetwork]:
    """Read what `save_baselines` wrote.

    Raises:
        ValueError: if the file is something else.
    """
    networks: dict[Baseline, PairNetwork] = {}
    try:
        tensors = load_file(path)
        for baseline in BASELINES:
            prefix = f"{baseline}."
            state = {
                name.removeprefix(prefix): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
            if state:
                network = PairNetwork(state["norm.weight"].shape[0])
                network.load_state_dict(state)
                networks[baseline] = network.to(device).eval()
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path}: expected what 'gsvnet fit-quality --baselines' wrote, got {error!r}"
        ) from error
    return networks


def _keyframe_changes(model: SegmentationModel, video: Video) -> NDArray[np.float64]:
    """Return (T, T) percent of pixels that two keyframes of a video label unlike."""
    labels = []
    for image, _ in video:
        logits = model.segment(image_tensor(image, model.device))[0]
        labels.append(labels_and_confidence(logits, *logits.shape[-2:])[0].copy())
    stacked = np.stack(labels)
    return np.stack([100 * (stacked != own).mean(axis=(1, 2)) for own in stacked])


@torch.enable_grad()
def _trained(inputs: Tensor, targets: Tensor, iterations: int, seed: int) -> PairNetwork:
    """Train on (N, C, 8, 12) features and (N,) percent."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PairNetwork(inputs.shape[1]).to(inputs.device).train()
        optimiser = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
        for _ in trange(iterations, desc="baseline", leave=False, disable=None):
            chosen = torch.randint(len(inputs), (_PAIRS_PER_ITERATION,))
            loss = F.mse_loss(network(inputs[chosen]) / 100, targets[chosen] / 100)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network.eval()
