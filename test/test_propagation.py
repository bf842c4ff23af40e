# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The parts of one propagation step, one by one."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.networks.propagation.edge import edge_map
from gsvnet_model.networks.propagation.flow import FlowLight, flow_on_grid
from gsvnet_model.networks.propagation.guide import GuideNetwork
from gsvnet_model.networks.propagation.intra import IntraNetwork
from gsvnet_model.networks.propagation.kernels import ideal_delay_kernels
from gsvnet_model.ops.mix import guided_filter
from gsvnet_model.ops.warp import backward_warp


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def uniform_flow(dx: float, dy: float, height: int, width: int) -> Tensor:
    return torch.tensor([dx, dy]).reshape(1, 2, 1, 1).expand(1, 2, height, width)


class TestWarp:
    @pytest.mark.parametrize("size", [(2, 2), (7, 9), (45, 60), (90, 120)])
    def test_zero_flow_is_the_identity(self, size: tuple[int, int]) -> None:
        values = torch.randn(2, 4, *size)
        warped = backward_warp(values, torch.zeros(2, 2, *size))
        torch.testing.assert_close(warped, values, rtol=0, atol=1e-4)

    def test_the_border_row_keeps_its_mean(self) -> None:
        values = torch.ones(1, 1, 7, 9)
        border = backward_warp(values, uniform_flow(0, 0, 7, 9))[..., 0, :]
        assert border.mean() == pytest.approx(1, abs=1e-5)
        # What a forgotten align_corners=True does to it.
        unaligned = F.affine_grid(torch.eye(2, 3)[None], [1, 1, 7, 9], align_corners=True)
        faulty = F.grid_sample(values, unaligned, align_corners=False)[..., 0, :]
        assert faulty.mean() < 0.6

    def test_positive_dx_reads_from_the_right(self) -> None:
        values = torch.arange(63.0).reshape(1, 1, 7, 9)
        warped = backward_warp(values, uniform_flow(1, 0, 7, 9))
        torch.testing.assert_close(warped[..., :-1], values[..., 1:])
        assert warped[..., -1].abs().max() < 1e-3  # zeros outside

    def test_positive_dy_reads_from_below(self) -> None:
        values = torch.arange(63.0).reshape(1, 1, 7, 9)
        warped = backward_warp(values, uniform_flow(0, 1, 7, 9))
        torch.testing.assert_close(warped[..., :-1, :], values[..., 1:, :])
        assert warped[..., -1, :].abs().max() < 1e-3

    def test_an_impulse_moves_against_the_flow(self) -> None:
        values = torch.zeros(1, 1, 7, 9)
        values[0, 0, 3, 5] = 1
        warped = backward_warp(values, uniform_flow(2, 1, 7, 9))
        expected = torch.zeros(1, 1, 7, 9)
        expected[0, 0, 2, 3] = 1
        torch.testing.assert_close(warped, expected, rtol=0, atol=1e-5)

    def test_half_a_pixel_averages_neighbours(self) -> None:
        values = torch.arange(63.0).reshape(1, 1, 7, 9)
        warped = backward_warp(values, uniform_flow(0.5, 0, 7, 9))
        torch.testing.assert_close(warped[..., :-1], values[..., :-1] + 0.5)

    def test_items_of_a_batch_have_their_own_flow(self) -> None:
        values = torch.randn(2, 3, 7, 9)
        flow = torch.cat((uniform_flow(1, 0, 7, 9), uniform_flow(0, -1, 7, 9)))
        for item in range(2):
            alone = backward_warp(values[item : item + 1], flow[item : item + 1])
            torch.testing.assert_close(backward_warp(values, flow)[item : item + 1], alone)

    def test_half_precision_does_not_move_pixels(self) -> None:
        values = torch.randn(1, 2, 64, 250).to(torch.float16)
        warped = backward_warp(values, torch.zeros(1, 2, 64, 250, dtype=torch.float16))
        assert warped.dtype == torch.float16
        torch.testing.assert_close(warped, values, rtol=0, atol=2e-3)

    @pytest.mark.parametrize("shape", [(1, 2, 7, 8), (2, 2, 7, 9), (1, 3, 7, 9)])
    def test_flow_of_another_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"flow: expected shape \(1, 2, 7, 9\)"):
            backward_warp(torch.zeros(1, 4, 7, 9), torch.zeros(shape))

    @pytest.mark.parametrize("size", [(1, 9), (7, 1)])
    def test_grid_of_one_cell(self, size: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="at least 2x2"):
            backward_warp(torch.zeros(1, 4, *size), torch.zeros(1, 2, *size))


class TestFlow:
    def test_is_divided_by_four_and_not_rescaled(self) -> None:
        flow = flow_on_grid(torch.full((1, 2, 3, 5), 8.0), 12, 20)
        torch.testing.assert_close(flow, torch.full((1, 2, 12, 20), 2.0))

    def test_is_resized_with_aligned_corners(self) -> None:
        ramp = torch.arange(5.0).expand(1, 2, 3, 5)
        flow = flow_on_grid(ramp, 12, 20)
        torch.testing.assert_close(flow, torch.linspace(0, 1, 20).expand(1, 2, 12, 20))

    @pytest.mark.parametrize("size", [(45, 60), (44, 60), (7, 9)])
    def test_is_a_quarter_of_the_grid(self, size: tuple[int, int]) -> None:
        images = torch.zeros(1, 3, *size)
        raw_flow = FlowLight().eval()(images, images)
        assert raw_flow.shape == (1, 2, -(-size[0] // 4), -(-size[1] // 4))

    def test_tells_current_from_previous(self) -> None:
        network = FlowLight().eval()
        current, previous = torch.randn(2, 1, 3, 12, 20)
        assert not torch.allclose(network(current, previous), network(previous, current))


class TestKernels:
    @pytest.mark.parametrize(("kernel_size", "count"), [(3, 9), (5, 17)])
    def test_count_and_null_kernel(self, kernel_size: int, count: int) -> None:
        kernels = ideal_delay_kernels(kernel_size)
        assert kernels.shape == (count, kernel_size, kernel_size)
        assert kernels.flatten(1).sum(1).tolist() == [1.0] * (count - 1) + [0.0]
        assert kernels[:, kernel_size // 2, kernel_size // 2].sum() == 0  # no identity

    def test_order_of_the_shifts(self) -> None:
        def offset(kernel: Tensor) -> list[int]:
            return (kernel.nonzero()[0] - kernel.shape[0] // 2).tolist()

        inner = [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]]
        assert [offset(kernel) for kernel in ideal_delay_kernels(3)[:-1]] == inner
        outer = [[2 * dy, 2 * dx] for dy, dx in inner]
        assert [offset(kernel) for kernel in ideal_delay_kernels(5)[:-1]] == inner + outer

    def test_other_sizes(self) -> None:
        with pytest.raises(ValueError, match="kernel_size: expected one of"):
            ideal_delay_kernels(7)


class TestFilter:
    def mix(self, slot: int, kernel_size: int = 3) -> tuple[Tensor, Tensor, Tensor]:
        """Put all weight on one slot; return the result, the warped and the intra logits."""
        kernels = ideal_delay_kernels(kernel_size)
        warped, intra_logits = torch.randn(2, 1, 4, 7, 9)
        mixing = torch.zeros(1, len(kernels) + 2, 7, 9)
        mixing[:, slot] = 1
        return guided_filter(warped, mixing, kernels, intra_logits), warped, intra_logits

    def test_first_slot_is_the_identity(self) -> None:
        output, warped, _ = self.mix(0)
        torch.testing.assert_close(output, warped)

    def test_second_slot_reads_from_above_left(self) -> None:
        output, warped, _ = self.mix(1)
        torch.testing.assert_close(output[..., 1:, 1:], warped[..., :-1, :-1])
        assert output[..., 0, :].abs().max() == 0
        assert output[..., 0].abs().max() == 0

    def test_slot_five_reads_from_the_right(self) -> None:
        output, warped, _ = self.mix(5)
        torch.testing.assert_close(output[..., :-1], warped[..., 1:])

    def test_last_shift_of_the_large_bank_reads_two_below_right(self) -> None:
        output, warped, _ = self.mix(16, kernel_size=5)
        torch.testing.assert_close(output[..., :-2, :-2], warped[..., 2:, 2:])

    def test_null_slot_gives_zero(self) -> None:
        assert self.mix(9)[0].abs().max() == 0

    def test_last_slot_is_the_intra_logits(self) -> None:
        output, _, intra_logits = self.mix(10)
        torch.testing.assert_close(output, intra_logits)

    def test_weights_vary_from_cell_to_cell(self) -> None:
        warped, intra_logits = torch.randn(2, 1, 4, 7, 9)
        mixing = torch.zeros(1, 11, 7, 9)
        mixing[:, 0, :, :4] = 1
        mixing[:, 10, :, 4:] = 1
        output = guided_filter(warped, mixing, ideal_delay_kernels(3), intra_logits)
        expected = torch.cat((warped[..., :4], intra_logits[..., 4:]), dim=-1)
        torch.testing.assert_close(output, expected)

    def test_other_number_of_slots(self) -> None:
        warped = torch.zeros(1, 4, 7, 9)
        with pytest.raises(ValueError, match="expected 10 slots"):
            guided_filter(warped, torch.zeros(1, 11, 7, 9), ideal_delay_kernels(3), None)


class TestGuide:
    @pytest.mark.parametrize("size", [(60, 45), (45, 60), (120, 90), (90, 120), (7, 9), (12, 20)])
    def test_weights_sum_to_one_at_any_size(self, size: tuple[int, int]) -> None:
        mixing = GuideNetwork(12, 11).eval()(torch.randn(1, 12, *size))
        assert mixing.shape == (1, 11, *size)
        assert mixing.min() >= 0
        heard = (mixing > 0).any(dim=1)
        assert heard.any()
        # Cells with scores near zero stay a little below one.
        torch.testing.assert_close(mixing.sum(1), heard.float(), rtol=0, atol=1e-3)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_silent_cells_have_no_weight_at_all(self, dtype: torch.dtype) -> None:
        network = GuideNetwork(12, 11).eval()
        nn.init.constant_(network.head.get_parameter("norm.bias"), -1e3)
        mixing = network.to(dtype)(torch.randn(1, 12, 7, 9, dtype=dtype))
        assert torch.equal(mixing, torch.zeros(1, 11, 7, 9, dtype=dtype))

    def test_doubles_where_sides_divide_by_four(self) -> None:
        network = GuideNetwork(12, 11).eval()
        double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        features = torch.randn(1, 12, 12, 20)
        full = network.encoder[0](features)
        decoded = network.encoder[2](network.encoder[1](full))
        for layer in network.decoder:
            decoded = layer(double(decoded))
        scores = network.head(decoded + full)
        expected = scores / (scores.sum(1, keepdim=True) + 1e-9)
        torch.testing.assert_close(network(features), expected)


def edge_of(labels: list[list[int]], kind: Literal["binary", "sigmoid"] = "binary") -> Tensor:
    return edge_map(torch.tensor([labels]), kind)[0, 0]


class TestEdge:
    def test_marks_both_sides_of_a_boundary(self) -> None:
        edge = edge_of([[0, 0, 0, 0, 0, 0]] * 5)
        assert edge.sum() == 0
        edge = edge_of([[0, 0, 0, 2, 0, 0, 0]] * 5)
        assert edge[2].tolist() == [0, 0, 1, 1, 1, 0, 0]

    @pytest.mark.parametrize(("label", "is_edge"), [(0, 0.0), (3, 1.0)])
    def test_border_is_an_edge_unless_the_class_is_zero(self, label: int, is_edge: float) -> None:
        edge = edge_of([[label] * 6] * 5)
        assert edge[1:-1, 1:-1].sum() == 0
        border = torch.cat((edge[0], edge[-1], edge[:, 0], edge[:, -1]))
        assert (border == is_edge).all()

    def test_a_corner_of_three_classes_can_cancel(self) -> None:
        corner = [[3, 3, 5], [3, 4, 5], [3, 5, 5]]
        assert edge_of(corner)[1, 1] == 0
        corner[0][0] = 4
        assert edge_of(corner)[1, 1] == 1

    def test_sigmoid_is_the_paper_s(self) -> None:
        labels = [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
        edge = edge_of(labels, "sigmoid")
        response = torch.tensor([[0, 0, 0], [0, 1, 1], [0, 1, -8]])
        torch.testing.assert_close(edge, response.float().sigmoid())


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class TestSize:
    def test_parts(self) -> None:
        assert parameters(FlowLight()) == 186_402
        assert parameters(IntraNetwork(19, 32)) == 15_763
        assert parameters(GuideNetwork(20, 11)) == 194_241

    @pytest.mark.parametrize(
        ("config", "count"),
        [
            (PropagationConfig(19), 396_487),
            (PropagationConfig(19, learned_kernels=True), 396_487),
            (PropagationConfig(11), 391_871),
            (PropagationConfig(19, kernel_size=5), 399_159),
        ],
    )
    def test_whole(self, config: PropagationConfig, count: int) -> None:
        assert parameters(PropagationNetwork(config)) == count


class TestStep:
    def inputs(self, num_classes: int, *size: int) -> tuple[Tensor, Tensor, Tensor]:
        current, previous = torch.randn(2, 2, 3, *size)
        return torch.randn(2, num_classes, *size), current, previous

    @pytest.mark.parametrize(
        ("config", "num_slots"),
        [
            (PropagationConfig(2), 11),
            (PropagationConfig(11), 11),
            (PropagationConfig(150, intra_channels=16), 11),
            (PropagationConfig(11, kernel_size=5, learned_kernels=True), 19),
            (PropagationConfig(11, use_intra=False), 10),
            (PropagationConfig(11, use_intra=False, edge="none"), 10),
            (PropagationConfig(11, edge="none"), 11),
            (PropagationConfig(11, edge="sigmoid"), 11),
        ],
    )
    def test_shapes(self, config: PropagationConfig, num_slots: int) -> None:
        output = PropagationNetwork(config).eval()(*self.inputs(config.num_classes, 9, 14))
        logits_shape = (2, config.num_classes, 9, 14)
        assert output.logits.shape == output.warped_logits.shape == logits_shape
        assert output.flow.shape == (2, 2, 9, 14)
        assert output.warped_previous.shape == (2, 3, 9, 14)
        assert output.mixing.shape == (2, num_slots, 9, 14)
        assert (output.intra_logits is not None) == config.use_intra
        assert (output.edge is not None) == (config.edge != "none")

    def test_silent_guide_gives_a_zero_state(self) -> None:
        network = PropagationNetwork(PropagationConfig(11)).eval()
        nn.init.constant_(network.guide.head.get_parameter("norm.bias"), -1e3)
        output = network(*self.inputs(11, 9, 14))
        assert torch.equal(output.logits, torch.zeros(2, 11, 9, 14))

    def test_items_of_a_batch_do_not_mix(self) -> None:
        network = PropagationNetwork(PropagationConfig(11)).eval()
        inputs = self.inputs(11, 9, 14)
        both = network(*inputs).logits
        for item in range(2):
            alone = network(*(tensor[item : item + 1] for tensor in inputs)).logits
            torch.testing.assert_close(alone[0], both[item], rtol=1e-4, atol=1e-5)

    def test_two_steps_train_every_part(self) -> None:
        network = PropagationNetwork(PropagationConfig(11))
        logits, current, previous = self.inputs(11, 9, 14)
        state = network(logits, previous, previous).logits
        loss = F.cross_entropy(network(state, current, previous).logits, logits.argmax(1))
        loss.backward()  # type: ignore[no-untyped-call]
        without = {name for name, value in network.named_parameters() if value.grad is None}
        assert without == {"kernels.weight"}

    def test_learned_kernels_include_the_null_kernel(self) -> None:
        network = PropagationNetwork(PropagationConfig(11, learned_kernels=True))
        loss = network(*self.inputs(11, 9, 14)).logits.square().sum()
        loss.backward()
        gradient = network.kernels.weight.grad
        assert gradient is not None
        assert (gradient.flatten(1).abs().sum(1) > 0).all()

    @pytest.mark.parametrize(
        ("name", "shapes"),
        [
            ("logits", ((1, 10, 9, 14), (1, 3, 9, 14), (1, 3, 9, 14))),
            ("current", ((1, 11, 9, 14), (1, 3, 9, 13), (1, 3, 9, 14))),
            ("previous", ((1, 11, 9, 14), (1, 3, 9, 14), (2, 3, 9, 14))),
        ],
    )
    def test_shapes_that_do_not_fit(self, name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
        network = PropagationNetwork(PropagationConfig(11)).eval()
        with pytest.raises(ValueError, match=f"{name}: expected shape"):
            network(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_classes", 1),
        ("num_classes", 11.0),
        ("num_classes", True),
        ("kernel_size", 4),
        ("kernel_size", 7),
        ("learned_kernels", 1),
        ("use_intra", None),
        ("edge", "soft"),
        ("edge", None),
        ("intra_channels", 0),
    ],
)
def test_config_rejects(field: str, value: object) -> None:
    fields: dict[str, Any] = {"num_classes": 11, field: value}
    with pytest.raises(ValueError, match=f"{field}: expected .* got"):
        PropagationConfig(**fields)
