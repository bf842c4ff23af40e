# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Universal propagation: any number of classes in any order, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models import moving_images, random_model
from test_inference import normalise_somehow
from torch import Tensor
from torch.nn import functional as F

from gsvnet_lab.training.propagation import start_from_warping
from gsvnet_lab.universal.checkpoint import (
    UniversalInfo,
    default_universal,
    read_universal,
    save_universal,
    with_universal,
)
from gsvnet_lab.universal.cues import confidence_of, kept_inside, label_edges, match_errors
from gsvnet_lab.universal.inference import UniversalInference
from gsvnet_lab.universal.network import UniversalConfig, UniversalPropagation
from gsvnet_model import VideoSegmenter
from gsvnet_model.images.network_input import Normalisation


def network() -> UniversalPropagation:
    """Return random weights with batch norms that do something, as after training."""
    torch.manual_seed(0)
    made = UniversalPropagation(UniversalConfig(8)).eval().requires_grad_(False)
    normalise_somehow(made)
    return made


def inputs(
    num_classes: int, batch: int = 1, height: int = 18, width: int = 26
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits in patches as a segmentation has them, and two similar images."""
    torch.manual_seed(1)
    coarse = 6 * torch.randn(batch, num_classes, 4, 5)
    logits = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    image = torch.randn(batch, 3, height, width)
    return logits, image, image + 0.2 * torch.randn_like(image)


class TestClasses:
    @pytest.mark.parametrize("num_classes", [2, 3, 19, 150, 256])
    def test_any_number(self, num_classes: int) -> None:
        output = network()(*inputs(num_classes))
        assert output.logits.shape == (1, num_classes, 18, 26)
        assert output.logits.isfinite().all()

    def test_another_order_gives_the_same_in_that_order(self) -> None:
        made, (logits, current, previous) = network(), inputs(7)
        order = torch.randperm(7)
        expected = made(logits, current, previous)
        got = made(logits[:, order], current, previous)
        torch.testing.assert_close(got.logits, expected.logits[:, order], rtol=0, atol=1e-4)
        torch.testing.assert_close(got.mixing, expected.mixing, rtol=0, atol=1e-4)

    def test_a_number_added_to_all_logits_changes_no_probability(self) -> None:
        made, (logits, current, previous) = network(), inputs(5)
        expected = made(logits, current, previous).logits.softmax(1)
        got = made(logits + 20, current, previous).logits.softmax(1)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)

    def test_one_class_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 2 classes, got 1"):
            network()(torch.zeros(1, 1, 8, 8), *torch.zeros(2, 1, 3, 8, 8))

    @pytest.mark.parametrize("which", [1, 2])
    def test_images_of_another_size_are_refused(self, which: int) -> None:
        values = list(inputs(3))
        values[which] = values[which][..., :-1]
        with pytest.raises(ValueError, match=r"expected shape \(1, 3, 18, 26\)"):
            network()(*values)


class TestStanding:
    def untrained(self) -> UniversalPropagation:
        """Return a network that estimates no flow and starts from warping, as training does."""
        torch.manual_seed(0)
        made = UniversalPropagation(UniversalConfig(8)).eval().requires_grad_(False)
        made.flow.head.weight.zero_()
        assert made.flow.head.bias is not None
        made.flow.head.bias.zero_()
        start_from_warping(made.guide)
        return made

    @pytest.mark.parametrize("size", [(2, 2), (7, 9), (45, 60), (61, 81)])
    def test_without_flow_the_labels_of_a_keyframe_stay(self, size: tuple[int, int]) -> None:
        logits, image, _ = inputs(6, 1, *size)
        output = self.untrained()(logits, image, image)
        torch.testing.assert_close(output.warped_logits, logits, rtol=0, atol=1e-3)
        assert (output.logits.argmax(1) == logits.argmax(1)).float().mean() > 0.97
        assert output.mixing[:, 0].mean() > 0.9


class TestCues:
    def test_edges_do_not_depend_on_the_numbers_of_the_classes(self) -> None:
        # The released Laplacian cancels out around the 4: 8 * 4 = 3 + 5 + 3 + 5 + ...
        labels = torch.tensor([[[3, 5, 3, 5], [5, 4, 3, 5], [3, 5, 3, 5], [3, 3, 3, 3]]])
        names = torch.tensor([0, 0, 0, 2, 9, 7])
        torch.testing.assert_close(label_edges(labels), label_edges(names[labels]))
        assert label_edges(labels)[0, 0, 1, 1] == 1

    def test_no_edge_at_the_border_of_the_grid(self) -> None:
        assert label_edges(torch.full((1, 5, 6), 3)).sum() == 0

    def test_the_shift_that_explains_the_image_has_no_error(self) -> None:
        wide = torch.randn(1, 3, 10, 12)
        current, previous = wide[..., 1:-1, 1:-1], wide[..., 1:-1, :-2]
        errors = match_errors(current, previous)
        # previous(x + 1) is current(x): identity, then the shifts row by row; (0, 1) is the sixth.
        inner = errors[..., 1:-1, 1:-1].amax((0, 2, 3))
        assert inner.argmin() == 5
        assert inner[5] == 0

    def test_confidence_of_a_certain_and_of_an_undecided_cell(self) -> None:
        probabilities = torch.tensor([[1.0, 0, 0, 0], [0.25] * 4]).T[None, :, None]
        highest, margin, entropy = confidence_of(probabilities)
        assert highest.flatten().tolist() == [1, 0.25]
        assert margin.flatten().tolist() == [1, 0]
        torch.testing.assert_close(entropy.flatten(), torch.tensor([0.0, 1.0]), rtol=0, atol=1e-5)

    def test_flow_out_of_the_grid_ends_at_its_border(self) -> None:
        flow = torch.zeros(1, 2, 4, 5)
        flow[0, 0, 1, 3], flow[0, 1, 0, 0] = 3.0, -2.0
        inside, outside = kept_inside(flow)
        assert inside[0, 0, 1, 3] == 1
        assert inside[0, 1, 0, 0] == 0
        assert outside.sum() == 2


class TestInference:
    @pytest.mark.parametrize("size", [(1, 16, 24), (3, 13, 9), (1, 2, 2), (1, 61, 81)])
    @pytest.mark.parametrize("num_classes", [2, 7, 150])
    def test_float32_equals_the_network(self, size: tuple[int, int, int], num_classes: int) -> None:
        slow, values = network(), inputs(num_classes, *size)
        expected, got = slow(*values), UniversalInference(slow, torch.float32)(*values)
        for name, tolerance in (
            ("flow", 1e-5),
            ("warped_logits", 1e-3),
            ("warped_previous", 1e-3),
            ("edge", 0),
            ("mixing", 5e-3),
            ("logits", 2e-2),
        ):
            torch.testing.assert_close(
                getattr(got, name), getattr(expected, name), rtol=0, atol=tolerance, msg=name
            )
        assert torch.equal(got.warped_labels, expected.warped_labels)

    def test_a_stream_in_a_batch_gets_what_it_gets_alone(self) -> None:
        fast, values = UniversalInference(network(), torch.float32), inputs(5, 3)
        together = fast(*values).logits
        for item in range(3):
            alone = fast(*(value[item : item + 1] for value in values)).logits
            torch.testing.assert_close(together[item : item + 1], alone, rtol=0, atol=1e-4)


class TestFile:
    def test_a_stream_runs_with_what_was_saved(self, tmp_path: Path) -> None:
        file, info = tmp_path / "u.safetensors", UniversalInfo(Normalisation.swiftnet(), "made")
        saved = network()
        save_universal(file, saved, info, torch.float32)
        read, told = read_universal(file)
        assert told == info
        for name, value in read.state_dict().items():
            assert torch.equal(value, saved.state_dict()[name]), name
        stream = VideoSegmenter(with_universal(random_model(), file), 3, temporal_blending=0.0)
        first, second = (stream.step(image) for image in moving_images(2))
        assert not second.is_keyframe
        assert (second.labels == first.labels).mean() < 1

    def test_other_images_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "u.safetensors"
        save_universal(file, network(), UniversalInfo(Normalisation.imagenet()))
        with pytest.raises(ValueError, match="expected weights whose images are normalised"):
            with_universal(random_model(), file)

    def test_weights_with_classes_are_refused(self, weights_path: Path) -> None:
        with pytest.raises(ValueError, match="weights with classes go to --weights"):
            read_universal(weights_path)

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="found no file at"):
            read_universal(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("field", "value"),
    [("guide_channels", 0), ("guide_channels", 1.5), ("guide_channels", True)],
)
def test_config_out_of_range(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        UniversalConfig(**{field: value})  # type: ignore[arg-type]


class TestShipped:
    def test_an_identical_image_keeps_the_labels(self) -> None:
        made, _ = read_universal(default_universal())
        logits, _, _ = inputs(12, 1, 45, 61)
        image = F.interpolate(torch.randn(1, 3, 9, 11), (45, 61), mode="bilinear")
        fast, state = UniversalInference(made.eval(), torch.float32), logits
        for _ in range(5):
            state = fast(state, image, image).logits
        assert (state.argmax(1) == logits.argmax(1)).float().mean() > 0.95

    @pytest.mark.parametrize("num_classes", [2, 40])
    def test_labels_follow_what_moves(self, num_classes: int) -> None:
        """Two cells a frame, for five frames: repeating the labels is soon wrong."""
        made, _ = read_universal(default_universal())
        wide, _, _ = inputs(num_classes, 1, 45, 81)
        pictures = F.interpolate(torch.randn(1, 3, 15, 27), (45, 81), mode="bilinear")
        fast, state = UniversalInference(made.eval(), torch.float32), wide[..., :61].contiguous()
        for step in range(1, 6):
            previous, current = (
                pictures[..., 2 * at : 2 * at + 61].contiguous() for at in (step - 1, step)
            )
            state = fast(state, current, previous).logits
        truth = wide[..., 10:71].argmax(1)[..., :50]  # what has entered since is not known
        followed = (state.argmax(1)[..., :50] == truth).float().mean()
        repeated = (wide[..., :50].argmax(1) == truth).float().mean()
        assert 1 - followed < 0.5 * (1 - repeated)
