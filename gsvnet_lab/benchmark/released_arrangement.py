# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The computation arranged as in the released code: the baseline of speed measurements."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.images.network_input import image_tensor
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.propagation import PropagationNetwork
from gsvnet_model.networks.propagation.flow import flow_on_grid


class ReleasedArrangement:
    """A stream that computes every frame as the released code does, with the same weights.

    float32, layer by layer; the kernel bank as a 3-D convolution that makes every filtered map;
    all logits interpolated to full size before argmax and softmax. The labels of keyframes too
    are decoded from logits on the grid.

    Args:
        keyframe: the keyframe network as trained, float32.
        propagation: the propagation network as trained.
        info: info of the weights.
        device: device that both networks are copied to and run on.
    """

    def __init__(
        self,
        keyframe: nn.Module,
        propagation: PropagationNetwork,
        info: ModelInfo,
        device: torch.device,
    ) -> None:
        self._info, self._device = info, device
        self._keyframe = copy.deepcopy(keyframe).to(device).eval()
        self._network = copy.deepcopy(propagation).to(device).eval()
        self._logits: Tensor | None = None
        self._previous: Tensor | None = None

    def reset(self) -> None:
        """Forget the past: the next frame is a keyframe."""
        self._logits = None

    @torch.inference_mode()
    def step(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Label the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, all of one size.

        Returns:
            Labels and confidence, floor(255 * probability of the label), (H, W) uint8.
        """
        height, width = image.shape[:2]
        grid = self._info.grid_size(height, width)
        # Planar, as in the released code: interleaved pixels would take our faster single pass.
        pixels = image_tensor(image, self._device).contiguous()
        current = self._info.normalisation.apply(pixels)
        if self._logits is None or self._previous is None:
            logits = self._keyframe(self._info.keyframe_input(pixels))
            self._logits = _resized(logits, grid)
        else:
            self._logits = self._propagated(
                self._logits, _resized(current, grid), _resized(self._previous, grid)
            )
        self._previous = current
        full = _resized(self._logits, (height, width))
        labels = full.argmax(dim=1)[0].to(torch.uint8)
        confidence = (255 * torch.softmax(full, dim=1).amax(dim=1)[0]).to(torch.uint8)
        return labels.cpu().numpy(), confidence.cpu().numpy()

    def _propagated(self, logits: Tensor, current: Tensor, previous: Tensor) -> Tensor:
        """Return the new state (1, K, h, w); see `PropagationNetwork.forward`."""
        num_classes, height, width = logits.shape[1:]
        network = self._network
        flow = flow_on_grid(network.flow(current, previous), height, width)
        both = torch.cat((logits, previous), dim=1)
        warped = F.grid_sample(both, _sampling_grid(flow), align_corners=True)[:, :num_classes]
        cues = warped if network.intra is None else network.intra(current)
        edge = _edge(warped)
        mixing = network.guide(
            cues if network.config.edge == "none" else torch.cat((cues, edge), 1)
        )
        kernels = network.kernels()[:, None, None]
        padding = (0, kernels.shape[-1] // 2, kernels.shape[-1] // 2)
        # (1, D, K, h, w): every kernel's version of the logits.
        filtered = F.conv3d(warped[:, None], kernels, padding=padding)
        maps = [warped[:, None], filtered]
        if network.intra is not None:
            maps.append(cues[:, None])
        mixed: Tensor = (mixing[:, :, None] * torch.cat(maps, dim=1)).sum(dim=1)
        return mixed


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values, size, mode="bilinear", align_corners=True)


def _sampling_grid(flow: Tensor) -> Tensor:
    """Return (N, h, w, 2) coordinates in -1..1 of the cells that the flow points to."""
    height, width = flow.shape[-2:]
    rows = torch.linspace(-1, 1, height, device=flow.device)
    columns = torch.linspace(-1, 1, width, device=flow.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    scale = flow.new_tensor((2 / (width - 1), 2 / (height - 1)))
    return torch.stack((x, y), dim=-1) + flow.permute(0, 2, 3, 1) * scale


def _edge(logits: Tensor) -> Tensor:
    """Return the binary edge map (N, 1, h, w)."""
    labels = logits.argmax(dim=1, keepdim=True).float()
    laplacian = torch.ones(1, 1, 3, 3, device=logits.device)
    laplacian[..., 1, 1] = -8
    return (F.conv2d(labels, laplacian, padding=1) != 0).float()
