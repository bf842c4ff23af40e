# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Short clips for the training of propagation, rendered once and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from gsvnet_lab.motion.frame import MovingFrame
from gsvnet_model.checkpoint.atomic_file import atomic_write
from gsvnet_model.images.grid import grid_image
from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model_info import ModelInfo

_LABELS_PER_CELL = 2
"""Labels kept per cell and direction: they train as well as all of them, at a fraction."""

_CHUNK = 16
"""Number of clips rendered between two notes of the progress."""


@dataclass(frozen=True)
class ClipCache:
    """S clips of T frames on the grid; the arrays may lie on disk.

    Attributes:
        images: (S, T, h, w, 3) uint8 or float32 RGB images, grey levels 0 to 255.
        logits: (S, T, K, h, w) float16 logits of the keyframe network on every frame: a recursion
            starts from those of the first frame (of the last, played backwards), and distillation
            compares with those between.
        labels: (S, T, 2 * h, 2 * w) uint8 class ids, 255 = void.
        flow: (S, T, 2, h, w) float16, (dx, dy) to the previous frame.
        valid: (S, T, h, w) bool, true where the flow is known and the point was visible before.

    Convention: flow is backward, in pixels of the grid. Grid, logits and labels are
        align_corners=True views of the image: corner lies on corner.
    """

    images: NDArray[np.generic]
    logits: NDArray[np.float16]
    labels: NDArray[np.uint8]
    flow: NDArray[np.float16]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.images)


def joined_clips(*caches: ClipCache) -> ClipCache:
    """Return the clips of several caches as one, in memory; all are of one size and length."""
    return ClipCache(*(np.concatenate([getattr(one, name) for one in caches]) for name in _NAMES))


def cached_clips(
    folder: Path,
    render: Callable[[int], Sequence[MovingFrame]],
    count: int,
    keyframe_network: nn.Module,
    info: ModelInfo,
    identity: str,
    device: torch.device,
) -> ClipCache:
    """Render clips, run the keyframe network on them and keep what training needs.

    A second call continues where the first was cut, or opens what it finished.

    Args:
        folder: folder in which each set of clips is kept in a folder of its own.
        render: returns the frames of clip number i and depends on i alone; all clips are of one
            size and length.
        count: number of clips, at least 1.
        keyframe_network: network in eval mode, on `device`, that maps (N, 3, H, W) images to
            (N, K, ., .) logits.
        info: info of the weights; decides how images come to the grid and to the keyframe network.
        identity: text of everything else that decides the clips, so that other clips get another
            folder.
        device: device that the keyframe network runs on.

    Returns:
        The clips, memory-mapped read-only.

    Raises:
        ValueError: if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 clip, got {count}")
    inputs = (info.normalisation, info.input_scale, info.max_input_pixels, info.input_stride)
    described = (info.grid_stride, info.grid_filter, info.logit_adjustment, *inputs)
    key = hashlib.sha256(repr((identity, count, described, _NAMES)).encode())
    for value in keyframe_network.state_dict().values():
        key.update(value.detach().float().cpu().numpy().tobytes())
    folder = folder / f"clips_{key.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    progress_file = folder / "progress.json"
    done = json.loads(progress_file.read_text())["done"] if progress_file.exists() else 0
    if done < count:
        _fill(folder, render, range(done, count), keyframe_network, info, device)
    return ClipCache(*(np.load(_file(folder, name), mmap_mode="r") for name in _NAMES))


_NAMES = ("images", "logits", "labels", "flow", "valid")


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _fill(
    folder: Path,
    render: Callable[[int], Sequence[MovingFrame]],
    indices: range,
    keyframe_network: nn.Module,
    info: ModelInfo,
    device: torch.device,
) -> None:
    def prepare(index: int) -> tuple[NDArray[np.generic], ...]:
        frames = render(index)
        return tuple(
            np.stack(arrays)
            for arrays in zip(
                *((frame.image, *_on_grid(frame, info)) for frame in frames),
                strict=True,
            )
        )

    arrays: list[NDArray[np.generic]] = []
    with (
        ThreadPoolExecutor(max_workers=2) as pool,
        tqdm(total=indices.stop, initial=indices.start, desc="rendering clips") as bar,
    ):
        for start in range(indices.start, indices.stop, _CHUNK):
            chunk = range(start, min(start + _CHUNK, indices.stop))
            for index, (full, images, labels, flow, valid) in zip(
                chunk, pool.map(prepare, chunk), strict=True
            ):
                logits = _keyframe_logits(full, images.shape[1:3], keyframe_network, info, device)
                values = (images, logits, labels, flow, valid)
                if not arrays:
                    arrays = [
                        _open(_file(folder, name), indices.stop, value, new=indices.start == 0)
                        for name, value in zip(_NAMES, values, strict=True)
                    ]
                for array, value in zip(arrays, values, strict=True):
                    array[index] = value
                bar.update()
            for array in arrays:
                array.flush()  # type: ignore[attr-defined]
            with atomic_write(folder / "progress.json") as partial:
                partial.write_text(json.dumps({"done": chunk.stop}))


def _open(path: Path, count: int, like: NDArray[np.generic], new: bool) -> NDArray[np.generic]:
    if not new:
        return np.load(path, mmap_mode="r+")  # type: ignore[no-any-return]
    return np.lib.format.open_memmap(path, "w+", like.dtype, (count, *like.shape))


def _on_grid(
    frame: MovingFrame, info: ModelInfo
) -> tuple[NDArray[np.generic], NDArray[np.uint8], NDArray[np.float16], NDArray[np.bool_]]:
    """Return image, labels, flow and validity of a frame as `ClipCache` holds them."""
    height, width = frame.labels.shape
    grid = info.grid_size(height, width)
    rows = _corner_to_corner(height, _LABELS_PER_CELL * grid[0])
    columns = _corner_to_corner(width, _LABELS_PER_CELL * grid[1])
    # The mean over a cell of what is known, at the cell's place.
    known = frame.valid & np.isfinite(frame.flow).all(-1)
    flow = np.where(known[..., None], frame.flow, 0)
    stride = info.grid_stride_of(height, width)
    weight = cv2.blur(known.astype(np.float32), (stride, stride))
    mean = cv2.blur(flow.astype(np.float32), (stride, stride))
    cells = np.ix_(_corner_to_corner(height, grid[0]), _corner_to_corner(width, grid[1]))
    weight, mean = weight[cells], mean[cells]
    mean = mean / np.maximum(weight, 1e-6)[..., None]
    mean *= ((grid[1] - 1) / (width - 1), (grid[0] - 1) / (height - 1))
    return (
        grid_image(frame.image, stride, info.grid_filter),
        frame.labels[np.ix_(rows, columns)],
        mean.transpose(2, 0, 1).astype(np.float16),
        weight > 0.5,
    )


def _corner_to_corner(size: int, count: int) -> NDArray[np.intp]:
    """Return the pixels nearest to `count` places from the first pixel to the last."""
    return np.rint(np.linspace(0, size - 1, count)).astype(np.intp)


@torch.inference_mode()
def _keyframe_logits(
    images: NDArray[np.generic],
    grid: tuple[int, ...],
    network: nn.Module,
    info: ModelInfo,
    device: torch.device,
) -> NDArray[np.float16]:
    states, bias = [], info.bias_tensor(device)
    for image in images:
        pixels = image_tensor(image.astype(np.uint8, copy=False), device)
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(info.keyframe_input(pixels))
        logits = logits.float() + bias
        states.append(F.interpolate(logits, grid, mode="bilinear", align_corners=True)[0])
    return torch.stack(states).cpu().numpy().astype(np.float16)
