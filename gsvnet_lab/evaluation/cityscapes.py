# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The paper's protocol on Cityscapes: pairs of keyframe 20 - i and labelled frame 20."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from gsvnet_lab.data.cityscapes import Snippet
from gsvnet_lab.evaluation.distances import DistanceEvaluation, KeyframeOutput, count_keyframes
from gsvnet_model.model import SegmentationModel
from gsvnet_model.outputs.classes import CITYSCAPES


def evaluate_snippets(
    model: SegmentationModel,
    snippets: Sequence[Snippet],
    keyframe_output: KeyframeOutput = "network",
) -> DistanceEvaluation:
    """Label the last frame of every snippet from a keyframe at each of its frames.

    Args:
        model: the weights, of the 19 classes of Cityscapes.
        snippets: snippets of one length; the number of their frames is the number of distances.
        keyframe_output: see `evaluate_distances`.

    Returns:
        Confusion matrices and confidences at full resolution.

    Raises:
        ValueError: if there is no snippet, their lengths differ or the model has no 19 classes.

    See: paper Sec. 4.1 (pairs (20 - i, 20) with i below the keyframe interval).
    """
    lengths = {len(snippet.image_files) for snippet in snippets}
    if len(lengths) != 1:
        raise ValueError(f"expected snippets of one length, got lengths {sorted(lengths)}")
    if model.info.classes.num_classes != CITYSCAPES.num_classes:
        raise ValueError(
            f"expected weights of the {CITYSCAPES.num_classes} classes of Cityscapes, "
            f"got weights of {', '.join(model.info.classes.names)}"
        )
    (num_frames,) = lengths
    result = DistanceEvaluation.empty(CITYSCAPES.num_classes, num_frames)
    for snippet in tqdm(snippets, desc="evaluating"):
        count_keyframes(result, model, snippet.read(), range(num_frames), keyframe_output)
    return result
