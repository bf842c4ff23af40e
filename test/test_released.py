# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Import of released checkpoints: wrappers, class counts, and what is said of wrong files."""

from pathlib import Path

import pytest
import torch
from released_weights import published_tensors
from torch import Tensor

from gsvnet_lab.released.checkpoints import read_released_keyframe, read_released_propagation
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork

TensorDict = dict[str, Tensor]


def save(content: object, folder: Path) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def swiftnet() -> TensorDict:
    return published_tensors("swiftnet_r18")


@pytest.fixture(scope="module")
def gsv() -> TensorDict:
    return published_tensors("gsv")


@pytest.fixture(scope="module")
def flow_light() -> TensorDict:
    return published_tensors("flow_light")


def with_classes(tensors: TensorDict, num_classes: int) -> TensorDict:
    """Cut a network of 19 classes down."""

    def cut(tensor: Tensor) -> Tensor:
        for axis in range(min(tensor.ndim, 2)):
            if tensor.shape[axis] in (19, 20):
                size = num_classes + tensor.shape[axis] - 19
                tensor = tensor.narrow(axis, 0, size)
        return tensor

    return {name: cut(tensor) for name, tensor in tensors.items()}


class TestKeyframe:
    @pytest.mark.parametrize("wrapper", ["", "state_dict", "model"])
    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_wrappers(
        self, wrapper: str, prefix: str, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        tensors = {prefix + name: tensor for name, tensor in swiftnet.items()}
        path = save({wrapper: tensors, "epoch": 3} if wrapper else tensors, tmp_path)
        checkpoint = read_released_keyframe(path)
        assert checkpoint.architecture == "swiftnet_r18"
        assert checkpoint.num_classes == 19
        ours = checkpoint.state_dict["decoder.1.blend.conv.weight"]
        assert torch.equal(ours, swiftnet["backbone.upsample.1.blend_conv.conv.weight"])

    def test_every_tensor_arrives_once(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        state_dict = read_released_keyframe(save(swiftnet, tmp_path)).state_dict
        assert len(state_dict) == len(swiftnet) - 2  # mean and std
        assert len({tensor.data_ptr() for tensor in state_dict.values()}) == len(state_dict)

    def test_normalisation_of_swiftnet_is_its_own(
        self, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        shifted = swiftnet | {"backbone.img_mean": torch.tensor([1.0, 2.0, 3.25])}
        checkpoint = read_released_keyframe(save(shifted, tmp_path))
        assert checkpoint.mean == (1.0, 2.0, 3.25)
        assert checkpoint.std == (47.67, 48.49, 47.73)
        bare = {name: tensor for name, tensor in swiftnet.items() if "img_" not in name}
        assert read_released_keyframe(save(bare, tmp_path)).mean == (73.15, 82.9, 72.3)

    def test_normalisation_of_another_size(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        wrong = swiftnet | {"backbone.img_std": torch.ones(4)}
        with pytest.raises(ValueError, match=r"backbone\.img_std: expected 3 values"):
            read_released_keyframe(save(wrong, tmp_path))

    def test_bisenet_with_other_classes(self, tmp_path: Path) -> None:
        tensors = with_classes(published_tensors("bisenet_r18"), 11)
        checkpoint = read_released_keyframe(save({"model": tensors}, tmp_path))
        assert checkpoint.architecture == "bisenet_r18"
        assert checkpoint.num_classes == 11
        assert checkpoint.mean == (123.675, 116.28, 103.53)
        BiSeNet(11).load_state_dict(checkpoint.state_dict)
        for ours, theirs in (("auxiliary.0", 0), ("auxiliary.1", 1), ("head", 2)):
            weight = checkpoint.state_dict[f"{ours}.logits.weight"]
            assert torch.equal(weight, tensors[f"heads.{theirs}.conv_1x1.weight"])

    def test_says_everything_that_differs(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        wrong = dict(swiftnet)
        del wrong["backbone.conv1.weight"], wrong["logits.norm.bias"]
        wrong["backbone.layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
        wrong["backbone.fc.weight"] = torch.zeros(10, 512)
        with pytest.raises(ValueError) as error:
            read_released_keyframe(save(wrong, tmp_path))
        message = str(error.value)
        assert "missing: backbone.conv1.weight, logits.norm.bias" in message
        assert "unexpected: backbone.fc.weight" in message
        assert (
            "of another shape: backbone.layer1.0.conv1.weight "
            "(expected (64, 64, 3, 3), got (64, 64, 1, 1))" in message
        )

    def test_without_the_tensor_that_tells_the_classes(
        self, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        wrong = {name: tensor for name, tensor in swiftnet.items() if name != "logits.conv.weight"}
        with pytest.raises(ValueError, match=r"missing: logits\.conv\.weight; give"):
            read_released_keyframe(save(wrong, tmp_path))

    def test_rejects_a_propagation_checkpoint(self, gsv: TensorDict, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="give a released keyframe checkpoint"):
            read_released_keyframe(save(gsv, tmp_path))


class TestPropagation:
    @pytest.mark.parametrize("prefix", ["grm.", "module.grm.", "grm.module."])
    def test_wrappers(
        self, prefix: str, gsv: TensorDict, flow_light: TensorDict, tmp_path: Path
    ) -> None:
        wrapped = {prefix + name: tensor for name, tensor in gsv.items()}
        flow = {f"module.{name}": tensor for name, tensor in flow_light.items()}
        path = save({"state_dict": wrapped, "state_dict_of": flow, "epoch": 3}, tmp_path)
        config, state_dict = read_released_propagation(path)
        assert config == PropagationConfig(19)
        assert len(state_dict) == len(gsv) + len(flow_light)
        PropagationNetwork(config).load_state_dict(state_dict)

    def test_first_layers_are_turned_to_rgb(
        self, gsv: TensorDict, flow_light: TensorDict, tmp_path: Path
    ) -> None:
        path = save({"state_dict": gsv, "state_dict_of": flow_light}, tmp_path)
        state_dict = read_released_propagation(path).state_dict
        intra = gsv["intra_net.intra_net.0.weight"]
        assert torch.equal(state_dict["intra.body.0.conv.weight"], intra.flip(1))
        ours, theirs = state_dict["flow.stem.0.conv.weight"], flow_light["conv1.0.weight"]
        assert torch.equal(ours[:, :3], theirs[:, :3].flip(1))  # the current image
        assert torch.equal(ours[:, 3:], theirs[:, 3:].flip(1))  # the previous image

    def test_other_classes(self, gsv: TensorDict, flow_light: TensorDict, tmp_path: Path) -> None:
        path = save({"state_dict": with_classes(gsv, 11), "state_dict_of": flow_light}, tmp_path)
        config, state_dict = read_released_propagation(path)
        assert config == PropagationConfig(11)
        PropagationNetwork(config).load_state_dict(state_dict)

    def test_trained_kernels_are_learned_kernels(
        self, gsv: TensorDict, flow_light: TensorDict, tmp_path: Path
    ) -> None:
        trained = gsv | {"ideal_dk.filter_copy_s": torch.randn(9, 1, 1, 3, 3)}
        path = save({"state_dict": trained, "state_dict_of": flow_light}, tmp_path)
        config, state_dict = read_released_propagation(path)
        assert config.learned_kernels
        kernels = trained["ideal_dk.filter_copy_s"]
        assert torch.equal(state_dict["kernels.weight"], kernels.reshape(9, 3, 3))

    def test_large_bank(self, gsv: TensorDict, flow_light: TensorDict, tmp_path: Path) -> None:
        network = PropagationNetwork(PropagationConfig(19, kernel_size=5))
        large = gsv | {"ideal_dk.filter_copy_s": network.kernels.weight.data[:, None, None]}
        for layer, name in (("conv", "0"), ("norm", "1")):
            for key, tensor in network.guide.head.get_submodule(layer).state_dict().items():
                large[f"guide.guide_decoder.{name}.{key}"] = tensor
        path = save({"state_dict": large, "state_dict_of": flow_light}, tmp_path)
        assert read_released_propagation(path).config == network.config

    @pytest.mark.parametrize("shape", [(9, 3, 3, 1, 1), (9, 1, 1, 7, 7), (8, 1, 1, 3, 3), ()])
    def test_bank_of_another_shape(
        self, shape: tuple[int, ...], gsv: TensorDict, flow_light: TensorDict, tmp_path: Path
    ) -> None:
        wrong = gsv | {"ideal_dk.filter_copy_s": torch.zeros(shape)}
        path = save({"state_dict": wrong, "state_dict_of": flow_light}, tmp_path)
        with pytest.raises(ValueError, match=r"of another shape: ideal_dk.filter_copy_s"):
            read_released_propagation(path)

    def test_says_what_differs_in_both_networks(
        self, gsv: TensorDict, flow_light: TensorDict, tmp_path: Path
    ) -> None:
        gsv, flow_light = dict(gsv), dict(flow_light)
        del gsv["guide.guide_conv.0.bias"], gsv["ideal_dk.filter_copy_s"], flow_light["toflow.bias"]
        path = save({"state_dict": gsv, "state_dict_of": flow_light}, tmp_path)
        names = "guide.guide_conv.0.bias, ideal_dk.filter_copy_s, toflow.bias"
        with pytest.raises(ValueError, match=f"missing: {names}"):
            read_released_propagation(path)

    def test_rejects_a_keyframe_checkpoint(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="give a released GSVNet checkpoint"):
            read_released_propagation(save({"state_dict": swiftnet}, tmp_path))


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code in a checkpoint ran",))


class TestFile:
    def test_never_runs_code(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ValueError, match="expected a checkpoint of tensors"):
            read_released_keyframe(save({"state_dict": Malicious()}, tmp_path))
        assert "ran" not in capsys.readouterr().out

    @pytest.mark.parametrize("content", [b"", b"version https://git-lfs", b"<!DOCTYPE html>"])
    def test_is_no_checkpoint(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="does not load as one"):
            read_released_keyframe(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "expected a dict, got list"),
            ({"state_dict": 3}, "expected a state dict, got int"),
            ({"weights": torch.zeros(1), "epoch": 3}, "got other values under 'epoch'"),
            ({}, "got nothing"),
        ],
    )
    def test_holds_no_state_dict(self, content: object, message: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=message):
            read_released_keyframe(save(content, tmp_path))

    def test_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_released_keyframe(tmp_path / "nowhere.pth")
