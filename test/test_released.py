# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Import of released checkpoints: wrappers, class counts, and what is said of wrong files."""

import argparse
import collections
import math
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from released_weights import published_tensors
from torch import Tensor, nn

from gsvnet_lab.released.keyframe import read_released_keyframe
from gsvnet_lab.released.propagation import read_released_propagation
from gsvnet_lab.released.torch_file import read_torch_file
from gsvnet_model.networks.keyframe.bisenet import BiSeNet
from gsvnet_model.networks.keyframe.swiftnet import SwiftNet
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
        with pytest.raises(ValueError, match=r"got an object of __builtin__\.print; save"):
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
            ([1, 2], "expected a state dict, got list"),
            ({"state_dict": 3}, "expected a state dict, got int"),
            ({"weights": torch.zeros(1), "epoch": 3}, "got 'weights'; give"),
            ({}, "got a dict of nothing"),
        ],
    )
    def test_holds_no_state_dict(self, content: object, message: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=message):
            read_released_keyframe(save(content, tmp_path))

    def test_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_released_keyframe(tmp_path / "nowhere.pth")

    def test_does_not_block_on_a_pipe(self, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.pth"
        os.mkfifo(path)
        with pytest.raises(ValueError, match="no regular file"):
            read_released_keyframe(path)


class TestTrainingCode:
    """Checkpoints as training code leaves them: they load, or one sentence says what they hold."""

    @pytest.mark.parametrize(
        "wrapper", ["model_state", "model_state_dict", "ema", "averaged_model"]
    )
    @pytest.mark.parametrize(
        "prefix", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.model."]
    )
    def test_wrappers(
        self, wrapper: str, prefix: str, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        tensors = {prefix + name: tensor for name, tensor in swiftnet.items()}
        checkpoint = read_released_keyframe(save({wrapper: tensors, "epoch": 3}, tmp_path))
        assert checkpoint.num_classes == 19

    def test_a_part_that_was_compiled(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        tensors = {
            name.replace("backbone.", "backbone._orig_mod."): tensor
            for name, tensor in swiftnet.items()
        }
        assert read_released_keyframe(save(tensors, tmp_path)).num_classes == 19

    def test_lightning(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        content = {
            "epoch": 3,
            "pytorch-lightning_version": "2.0.0",
            "state_dict": {f"model.{name}": tensor for name, tensor in swiftnet.items()},
            "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}],
            "hyper_parameters": argparse.Namespace(lr=1e-3, folder=Path("runs")),
            "callbacks": {"ModelCheckpoint": {"best_model_score": np.float64(0.7)}},
        }
        assert read_released_keyframe(save(content, tmp_path)).num_classes == 19

    def test_averages_of_weights(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        """The state of `torch.optim.swa_utils.AveragedModel`."""
        averaged = {f"module.{name}": tensor for name, tensor in swiftnet.items()}
        averaged["n_averaged"] = torch.tensor(7)
        path = save({"averaged_model": averaged, "optimizer": {}}, tmp_path)
        assert read_released_keyframe(path).num_classes == 19

    def test_the_trained_network_goes_before_its_averages(
        self, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        averages = {name: torch.zeros_like(tensor) for name, tensor in swiftnet.items()}
        path = save({"ema": {"module": averages}, "state_dict": swiftnet}, tmp_path)
        weight = read_released_keyframe(path).state_dict["encoder.conv1.weight"]
        assert torch.equal(weight, swiftnet["backbone.conv1.weight"])

    def test_values_beside_the_tensors(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        beside = {"miou": np.float64(0.7), "epoch": np.int64(3), "names": ["road"], "lr": 1e-3}
        assert read_released_keyframe(save(swiftnet | beside, tmp_path)).num_classes == 19

    def test_without_counts_of_batches(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        """PyTorch before 0.4.1 had none."""
        old = {name: value for name, value in swiftnet.items() if "num_batches" not in name}
        assert len(old) < len(swiftnet)
        state = read_released_keyframe(save(old, tmp_path)).state_dict
        assert state["encoder.bn1.num_batches_tracked"] == 0
        SwiftNet(19).load_state_dict(state)

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize("is_zip", [True, False])
    def test_every_way_to_save(
        self, protocol: int, is_zip: bool, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        path = tmp_path / "checkpoint.pth"
        name = "backbone.layer1.0.conv1.weight"
        tensors = swiftnet | {
            name: nn.Parameter(swiftnet[name].half().to(memory_format=torch.channels_last)),
            "logits.conv.weight": torch.cat([swiftnet["logits.conv.weight"]] * 2)[19:],
        }
        torch.save(
            {"state_dict": collections.OrderedDict(tensors)},
            path,
            pickle_protocol=protocol,
            _use_new_zipfile_serialization=is_zip,
        )
        state = read_released_keyframe(path).state_dict
        assert torch.equal(state["encoder.layer1.0.conv1.weight"], swiftnet[name].half())
        assert torch.equal(state["logits.conv.weight"], swiftnet["logits.conv.weight"])
        assert torch.equal(state["encoder.bn1.weight"], swiftnet["backbone.bn1.weight"])

    @pytest.mark.parametrize("is_zip", [True, False])
    def test_a_whole_network(self, is_zip: bool, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.pth"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(SwiftNet(19), path, _use_new_zipfile_serialization=is_zip)
        where = "gsvnet_model.networks.keyframe.swiftnet.SwiftNet"
        with pytest.raises(
            ValueError, match=f"an object of {where}; save the network's state_dict"
        ):
            read_released_keyframe(path)

    def test_two_networks_in_one(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        both = swiftnet | {f"model.{name}": tensor for name, tensor in swiftnet.items()}
        with pytest.raises(ValueError, match="expected one network, got two tensors 'backbone"):
            read_released_keyframe(save(both, tmp_path))

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_values_that_are_not_finite(
        self, value: float, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        weight = swiftnet["logits.conv.weight"].clone()
        weight[-1, -1] = value
        path = save(swiftnet | {"logits.conv.weight": weight}, tmp_path)
        with pytest.raises(ValueError, match=r"logits\.conv\.weight: expected finite values"):
            read_released_keyframe(path)


class Reduced:
    """What is pickled as a call with arguments of one's own."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def refusal(path: Path) -> str:
    """Return what is said of a checkpoint: one line, and never the library's bad advice."""
    with pytest.raises(ValueError) as error:
        read_released_keyframe(path)
    text = str(error.value)
    assert len(text) < 1000
    assert text.isprintable()
    assert "weights_only" not in text
    return text


def rewritten(path: Path, compression: int, **records: bytes) -> Path:
    """Return an archive with other records, by their name without the folder."""
    other = path.with_name("other.pth")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w", compression) as copy:
        for name in archive.namelist():
            root, _, inner = name.partition("/")
            copy.writestr(name, records.pop(inner, archive.read(name)))
        for inner, content in records.items():
            copy.writestr(f"{root}/{inner}", content)
    return other


class TestHostile:
    """Refused at once, with one short sentence, before anything large is made of it."""

    def test_bomb(self, tmp_path: Path) -> None:
        path = save({"state_dict": {"x": torch.zeros(1)}}, tmp_path)
        bomb = rewritten(path, zipfile.ZIP_DEFLATED, **{"data/0": bytes(20_000_000)})
        assert bomb.stat().st_size < 100_000
        assert "compressed records" in refusal(bomb)

    def test_records_that_share_their_bytes(self, tmp_path: Path) -> None:
        """One large record, named many times by the archive's list."""
        path = save({"state_dict": {"x": torch.zeros(1)}}, tmp_path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("archive/data/0000", bytes(100_000))
            entry = archive.infolist()[-1]
            for index in range(1, 50):
                copy = zipfile.ZipInfo(f"archive/data/{index:04}")
                copy.header_offset, copy.CRC = entry.header_offset, entry.CRC
                copy.file_size = copy.compress_size = entry.file_size
                archive.filelist.append(copy)
        assert "records larger than the file" in refusal(path)

    def test_a_tensor_larger_than_its_storage(self, tmp_path: Path) -> None:
        huge = torch.zeros(1).expand(60_000, 60_000)
        assert "in a storage of 1 values; save a clone" in refusal(save({"x": huge}, tmp_path))

    @pytest.mark.parametrize("num_classes", [255, 10_000_000])
    def test_classes_without_end(
        self, num_classes: int, swiftnet: TensorDict, tmp_path: Path
    ) -> None:
        many = swiftnet | {"logits.conv.weight": torch.zeros(num_classes, dtype=torch.bool)}
        text = refusal(save(many, tmp_path))
        assert f"logits.conv.weight: expected 1 to 254 channels, got {num_classes}" in text

    @pytest.mark.parametrize("is_zip", [True, False])
    def test_a_storage_that_is_not_there(self, is_zip: bool, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.pth"
        torch.save({"x": torch.zeros(4)}, path, _use_new_zipfile_serialization=is_zip)
        content = path.read_bytes().replace(b"K\x04", b"K\xff")  # 255 values in place of 4
        if is_zip:
            with zipfile.ZipFile(path) as archive:
                described = archive.read("checkpoint/data.pkl").replace(b"K\x04", b"K\xff")
            path = rewritten(path, zipfile.ZIP_STORED, **{"data.pkl": described})
            read = read_torch_file(path)
            assert isinstance(read, dict)
            with pytest.raises(ValueError, match="expected 255 values in storage 0, got 16 bytes"):
                read["x"].read()
        else:
            path.write_bytes(content)
            assert "storages larger than the file" in refusal(path)

    @pytest.mark.parametrize("size", [1000, 10_000_000])
    def test_long_names(self, size: int, swiftnet: TensorDict, tmp_path: Path) -> None:
        name = "\x1b[31m\n[ERROR] " + "x" * size
        refusal(save({name: torch.zeros(1)}, tmp_path))
        refusal(save({"state_dict": swiftnet | {name: torch.zeros(1)}}, tmp_path))
        refusal(save({name: 1}, tmp_path))
        refusal(save(Reduced(print, (name,)), tmp_path))

    def test_many_names(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        one = torch.zeros(1)
        path = save(swiftnet | {f"surplus{index}": one for index in range(2000)}, tmp_path)
        assert "surplus0, surplus1, surplus10," in refusal(path)
        assert "and 1990 more" in refusal(path)

    def test_nothing_is_called(self, tmp_path: Path) -> None:
        planted = tmp_path / "planted"
        for call in (
            (Path.touch, (planted,)),
            (eval, (f"open({str(planted)!r}, 'w')",)),
            (bytearray, (1 << 40,)),
            (torch.zeros, (1 << 40,)),
            (getattr, (1, "real")),
        ):
            refusal(save({"state_dict": {"x": Reduced(*call)}}, tmp_path))
        assert not planted.exists()

    @pytest.mark.parametrize(
        "program",
        [
            b"(" * 100_000 + b".",
            b"]" * 300_000 + b".",
            b"]" + b"(" * 1000 + b"l" * 100_000 + b".",
            b"r\xff\xff\xff\xff.",
            b"N" + b"r\xff\xff\xff\xff" + b".",
            b"\x8a\xff" + b"\xff" * 255 + b".",
            b"B\xff\xff\xff\x7f.",
            b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
            b"}" + b")" + b"\x85" * 100_000 + b"Ns.",
            b"cos\nsystem\n(S'id'\ntR.",
            b"(S'id'\nios\nsystem\n.",
            b"}q\x00X\x0a\x00\x00\x00state_dicth\x00s.",
            b"\x82\x01.",
            b"\x97.",
            b".",
            b"",
        ],
    )
    @pytest.mark.parametrize("is_zip", [True, False])
    def test_pickles_of_ones_own(self, is_zip: bool, program: bytes, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.pth"
        torch.save({"x": torch.zeros(1)}, path, _use_new_zipfile_serialization=is_zip)
        if is_zip:
            path = rewritten(path, zipfile.ZIP_STORED, **{"data.pkl": program})
        else:
            start = path.read_bytes().index(b"\x80\x02}q\x00X\x01\x00\x00\x00x")
            path.write_bytes(path.read_bytes()[:start] + program)
        refusal(path)

    def test_a_description_without_end(self, tmp_path: Path) -> None:
        path = save({"x": torch.zeros(1)}, tmp_path)
        long = rewritten(path, zipfile.ZIP_STORED, **{"data.pkl": bytes(5 << 20)})
        assert "a description of 5242880 bytes" in refusal(long)

    def test_damage_is_noticed(self, swiftnet: TensorDict, tmp_path: Path) -> None:
        path = save(swiftnet, tmp_path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert "damaged bytes" in refusal(path)
