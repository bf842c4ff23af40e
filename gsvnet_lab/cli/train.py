# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""`gsvnet train keyframe|propagation|universal`: train, or continue where a run was cut."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from gsvnet_lab.cli.options import add_data_option, add_device_option
from gsvnet_lab.data.camvid import find_camvid
from gsvnet_lab.training.keyframe import train_keyframe
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
from gsvnet_lab.training.propagation import train_propagation
from gsvnet_lab.training.propagation_recipe import PropagationRecipe
from gsvnet_lab.training.recipe import read_parts
from gsvnet_lab.training.run import Run
from gsvnet_lab.training.universal import train_universal
from gsvnet_lab.training.universal_recipe import UniversalRecipe
from gsvnet_lab.universal.checkpoint import UNIVERSAL_WEIGHTS, UniversalInfo, save_universal
from gsvnet_lab.universal.network import UniversalPropagation
from gsvnet_model.checkpoint import default_weights, read_networks, save_model
from gsvnet_model.hardware.device import choose_device
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.model_info import ModelInfo
from gsvnet_model.networks.keyframe import build_keyframe_network
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_model.networks.propagation.flow import FlowLight
from gsvnet_model.outputs.classes import CAMVID


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("train")
    kinds = parser.add_subparsers(required=True, metavar="keyframe|propagation|universal")
    keyframe = kinds.add_parser("keyframe", help="train a keyframe network on labelled images")
    keyframe.set_defaults(run=_train_keyframe)
    keyframe.add_argument(
        "--start",
        type=Path,
        help="weights to start from: of the recipe's network (their propagation network is kept) "
        "or of another network with the same encoder (default: random weights)",
    )
    keyframe.add_argument(
        "--teacher",
        type=Path,
        help="weights whose keyframe network teaches; needed where the recipe has a distillation",
    )
    propagation = kinds.add_parser(
        "propagation", help="train a propagation network for a trained keyframe network"
    )
    propagation.set_defaults(run=_train_propagation)
    propagation.add_argument(
        "--keyframe",
        type=Path,
        required=True,
        help="weights whose keyframe network makes the keyframes",
    )
    propagation.add_argument(
        "--start",
        type=Path,
        help="weights whose propagation network to start from (default: random weights)",
    )
    universal = kinds.add_parser(
        "universal", help="train a propagation network for any keyframe network (a study)"
    )
    universal.set_defaults(run=_train_universal)
    universal.add_argument(
        "--weights",
        type=Path,
        help="weights whose keyframe network makes the keyframes, and whose flow network is "
        "started from (default: the shipped weights)",
    )
    for kind in (keyframe, propagation, universal):
        kind.add_argument("--recipe", type=Path, required=True, help="YAML file in recipes/")
        add_data_option(kind)
        kind.add_argument(
            "--output",
            type=Path,
            required=True,
            help="folder of the run: checkpoint, log and weights",
        )
        add_device_option(kind)


def _train_keyframe(options: argparse.Namespace) -> None:
    parts = read_parts(options.recipe, KeyframeRecipe)
    distils = any(part.distillation > 0 for part in parts)
    if distils != (options.teacher is not None):
        raise ValueError(
            f"{options.recipe}: expected {'a' if distils else 'no'} --teacher, since the recipe "
            f"{'has' if distils else 'has no'} distillation"
        )
    if len({(part.network, part.num_classes) for part in parts}) > 1:
        raise ValueError(f"{options.recipe}: expected parts of one network and number of classes")
    device = choose_device(options.device)
    info = ModelInfo(parts[0].network, CAMVID, Normalisation.swiftnet(), propagation_trained=False)
    _check_classes(options.recipe, parts[0].num_classes, info)
    # A weights file holds both networks: until one is trained, this one has random weights.
    propagation = PropagationNetwork(PropagationConfig(parts[0].num_classes))
    command = f"gsvnet train keyframe --recipe {options.recipe.name}"
    network, teacher = None, None
    if options.start is not None:
        network, trained, earlier = read_networks(options.start)
        _check_same("normalisation", options.start, earlier, info)
        command = f"{earlier.command}; {command} --start {options.start.name}"
        if earlier.keyframe_network == parts[0].network:
            _check_same("classes", options.start, earlier, info)
            propagation, info = trained, earlier.unfitted()
    if options.teacher is not None:
        teacher, _, teaching = read_networks(options.teacher)
        for name in ("normalisation", "classes"):
            _check_same(name, options.teacher, teaching, info)
        command = f"{command} --teacher {options.teacher.name}"
    data = find_camvid(options.data)
    for part, folder in zip(parts, _folders(options.output, len(parts)), strict=True):
        info = dataclasses.replace(part.described(info), command=command)
        weights = train_keyframe(
            part,
            info,
            data,
            folder,
            device,
            network,
            teacher if part.distillation > 0 else None,
            options.output,
        )
        network = learned = build_keyframe_network(part.network, part.num_classes)
        learned.load_state_dict(weights)
        _save(folder, folder, learned, propagation, info)
    if len(parts) > 1:
        _save(options.output, folder, learned, propagation, info)


def _train_propagation(options: argparse.Namespace) -> None:
    parts = read_parts(options.recipe, PropagationRecipe)
    if len({part.network for part in parts}) > 1:
        raise ValueError(f"{options.recipe}: expected parts of one network")
    keyframe, _, info = read_networks(options.keyframe)
    info = info.unfitted()
    _check_classes(options.recipe, parts[0].network.num_classes, info)
    device = choose_device(options.device)
    command = f"{info.command}; gsvnet train propagation --recipe {options.recipe.name}"
    start = None
    if options.start is not None:
        _, start, _ = read_networks(options.start)
        if start.config != parts[0].network:
            raise ValueError(
                f"{options.start}: expected a propagation network of {parts[0].network}, as the "
                f"recipe has it, got {start.config}"
            )
        command = f"{command} --start {options.start.name}"
    data = find_camvid(options.data)
    for part, folder in zip(parts, _folders(options.output, len(parts)), strict=True):
        info = dataclasses.replace(part.described(info), command=command)
        weights = train_propagation(part, keyframe, info, data, folder, device, start)
        start = learned = PropagationNetwork(part.network)
        learned.load_state_dict(weights)
        _save(folder, folder, keyframe, learned, info)
    if len(parts) > 1:
        _save(options.output, folder, keyframe, learned, info)


def _train_universal(options: argparse.Namespace) -> None:
    parts = read_parts(options.recipe, UniversalRecipe)
    if len({part.universal for part in parts}) > 1:
        raise ValueError(f"{options.recipe}: expected parts of one universal network")
    keyframe, propagation, info = read_networks(options.weights or default_weights())
    info = info.unfitted()
    _check_classes(options.recipe, parts[0].network.num_classes, info)
    device, data = choose_device(options.device), find_camvid(options.data)
    start: UniversalPropagation | FlowLight = propagation.flow
    for part, folder in zip(parts, _folders(options.output, len(parts)), strict=True):
        weights = train_universal(part, keyframe, info, data, folder, device, start)
        start = learned = UniversalPropagation(part.universal)
        learned.load_state_dict(weights)
    command = f"{info.command}; gsvnet train universal --recipe {options.recipe.name}"
    path = options.output / UNIVERSAL_WEIGHTS
    save_universal(path, learned, UniversalInfo(info.normalisation, command))
    print(f"weights: {path}")


def _check_same(name: str, weights: Path, got: ModelInfo, training: ModelInfo) -> None:
    if getattr(got, name) != getattr(training, name):
        raise ValueError(
            f"{weights}: expected {name} {getattr(training, name)}, as in training, got "
            f"{getattr(got, name)}; give other weights"
        )


def _check_classes(recipe: Path, num_classes: int, info: ModelInfo) -> None:
    if num_classes != info.classes.num_classes:
        raise ValueError(
            f"{recipe}: expected num_classes {info.classes.num_classes} "
            f"({', '.join(info.classes.names)}), got {num_classes}"
        )


def _folders(output: Path, num_parts: int) -> list[Path]:
    """Return the folder of every part; the only part of a run has the run's own folder."""
    if num_parts == 1:
        return [output]
    return [output / f"part{number}" for number in range(1, num_parts + 1)]


def _save(
    folder: Path,
    run: Path,
    keyframe: torch.nn.Module,
    propagation: PropagationNetwork,
    info: ModelInfo,
) -> None:
    """Write the weights of a run, unless an earlier call wrote them.

    Args:
        folder: folder to write weights.safetensors to.
        run: folder of the run; of the last part where there are several.
        keyframe: the keyframe network to write.
        propagation: the propagation network to write.
        info: info of the weights.
    """
    path = folder / "weights.safetensors"
    if path.exists() and path.stat().st_mtime >= Run.checkpoint_file(run).stat().st_mtime:
        # Temperatures and the like that were fitted and stored since would be lost.
        print(f"weights: {path}, written by an earlier call: nothing was left to train")
        return
    save_model(path, keyframe, propagation, info, torch.float16)
    print(f"weights: {path}")
