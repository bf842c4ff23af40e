# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Mutated files: each one is read or refused in a line, and none takes long or much memory.

    python test/fuzz_files.py weights yaml --cases 10000 --seed 0

mutates kinds of files, one after another, in a process whose address space is limited. It prints
a line of JSON for each kind. Its seed and its number make a case again: `--first`, `--cases 1`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from models import TinyKeyframeNetwork
from released_weights import published_tensors

from gsvnet_lab.data.safe_yaml import load_yaml
from gsvnet_lab.released.propagation import read_released_propagation
from gsvnet_lab.released.state_dict import find_state_dict, read_tensor
from gsvnet_lab.released.torch_file import read_torch_file
from gsvnet_lab.training.keyframe_recipe import KeyframeRecipe
from gsvnet_lab.training.recipe import read_parts
from gsvnet_lab.universal.checkpoint import default_universal, read_universal
from gsvnet_model import CAMVID, ModelInfo, save_model
from gsvnet_model.checkpoint import read_networks
from gsvnet_model.images.network_input import Normalisation
from gsvnet_model.networks.keyframe import KEYFRAME_NETWORKS
from gsvnet_model.networks.propagation import PropagationConfig, PropagationNetwork
from gsvnet_offline.sources.image_file import read_image
from gsvnet_offline.sources.label_png import read_labels

MEMORY_BYTES = 300 << 20
"""How much more than before a file may take."""
_ADDRESS_SPACE_BYTES = 1 << 30
"""Beyond what the process has mapped already. Files are mapped, and a sparse one is large."""
_LONGEST_MESSAGE = 3000
"""Ten wrong fields of a recipe, each with the name of the file."""

Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        suffix: of its name.
        seeds: contents that are mutated.
        mutations: ways to change a content that leave its outer form whole; one of them or
            `changed_bytes` is drawn for each case.
        read: what reads the file.
    """

    suffix: str
    seeds: list[bytes]
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], object]


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change some bytes: bits, values, lengths, and pieces left out, repeated or put elsewhere."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        # Headers are short, and most of what can go wrong is in them.
        place = rng.randrange(min(len(data), rng.choice((64, 1024, 1 << 30))) + 1)
        size = rng.choice((1, 2, 4, 8, rng.randrange(1, 200)))
        match rng.randrange(7):
            case 0 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place : place + size] = rng.randbytes(size)
            case 2:
                number = rng.choice((0, 1, -1, 0x7FFFFFFF, -0x80000000, 1 << 40, (1 << 63) - 1))
                data[place : place + 8] = struct.pack(rng.choice("<>") + "q", number)
            case 3:
                del data[place : place + size]
            case 4:
                data[place:place] = data[place : place + size] * rng.choice((1, 2, 1000))
            case 5:
                del data[place:]
            case 6:
                other = rng.randrange(len(data) + 1)
                data[place : place + size] = data[other : other + size]
    return bytes(data)


_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 1 << 62, "", "x" * 5000),
    *("\n[ERROR] \x1b[31m", "\ud800", [], {}, [[]], [0] * 300, {"a": {"b": []}}, "sky"),
)


def _changed_value(value: Any, rng: random.Random) -> Any:
    """Replace, remove or repeat one value somewhere in lists and mappings."""
    inner = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not inner:
        return rng.choice(_ODD_VALUES)
    key = rng.choice(inner)
    changed = dict(value) if isinstance(value, dict) else list(value)
    if isinstance(changed[key], dict | list) and rng.random() < 0.75:
        changed[key] = _changed_value(changed[key], rng)
    elif rng.random() < 0.2:
        del changed[key]
    elif isinstance(changed, dict) and rng.random() < 0.2:
        changed[rng.choice(("surplus", "\n", "x" * 5000))] = rng.choice(_ODD_VALUES)
    else:
        changed[key] = rng.choice(_ODD_VALUES)
    return changed


def _changed_metadata(content: bytes, rng: random.Random) -> bytes:
    """Change the metadata or the list of tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.7:
        (key,) = header["__metadata__"]
        metadata = json.loads(header["__metadata__"][key])
        text = json.dumps(_changed_value(metadata, rng))
        if rng.random() < 0.1:
            text = changed_bytes(text.encode(), rng).decode("utf-8", "replace")
        header["__metadata__"][key] = text
    else:
        header = _changed_value(header, rng)
    text = json.dumps(header)
    return struct.pack("<Q", len(text.encode())) + text.encode() + content[8 + length :]


def _changed_tensors(content: bytes, rng: random.Random) -> bytes:
    """Change values of the tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    data = bytearray(content)
    for _ in range(rng.choice((1, 10))):
        place = rng.randrange(8 + length, len(data) - 4)
        data[place : place + 4] = struct.pack("<f", rng.choice((float("nan"), 3e38, -1.0, 1e-40)))
    return bytes(data)


def _changed_records(content: bytes, rng: random.Random) -> bytes:
    """Change a record of a torch.save archive, whose checksums then fit, or how it is stored."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        described = [name for name in names if name.endswith("data.pkl")]
        chosen = rng.choice(described * 3 + [rng.choice(names)])
        compression = rng.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))
        with zipfile.ZipFile(changed, "w", compression) as copy:
            for name in names:
                record = archive.read(name)
                copy.writestr(name, changed_bytes(record, rng) if name == chosen else record)
    return changed.getvalue()


def _changed_chunks(content: bytes, rng: random.Random) -> bytes:
    """Change the chunks of a PNG, whose checksums then fit."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        chunks.append((name, content[place + 8 : place + 8 + length]))
        place += 12 + length
    index = rng.randrange(len(chunks))
    name, body = chunks[index]
    match rng.randrange(4):
        case 0:
            chunks[index] = (name, changed_bytes(body, rng))
        case 1:
            chunks[index : index + 1] = [(name, body)] * rng.choice((0, 2, 50))
        case 2:
            chunks[index] = (rng.choice((b"IDAT", b"PLTE", b"tRNS", b"acTL", b"zTXt")), body)
        case 3:
            header = bytearray(chunks[0][1])
            header[rng.randrange(len(header))] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
            chunks[0] = (chunks[0][0], bytes(header))
    return content[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _changed_text(content: bytes, rng: random.Random) -> bytes:
    """Put pieces of YAML anywhere, or many of them."""
    pieces = (
        *(b"[", b"{", b"- ", b"? ", b": ", b"&a ", b"*a ", b"<<: ", b"!!set ", b"|\n", b"'"),
        *(b"\n", b"  ", b"\t", b"#", b"%", b"---\n", b"1e999", b".nan", b"0x1", b"1:1", b"\\x1b"),
    )
    place = rng.randrange(len(content) + 1)
    piece = b"".join(rng.choices(pieces, k=rng.choice((1, 2, 5))))
    return content[:place] + piece * rng.choice((1, 2, 30, 2000)) + content[place:]


def _weights_kind() -> Kind:
    KEYFRAME_NETWORKS["tiny"] = TinyKeyframeNetwork
    torch.manual_seed(0)
    info = ModelInfo("tiny", CAMVID, Normalisation.imagenet(), metrics={"miou": 61.5})
    network = PropagationNetwork(PropagationConfig(11))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_model(path, TinyKeyframeNetwork(11), network, info, torch.float16)
        seeds = [path.read_bytes()]
    mutations = (_changed_metadata, _changed_metadata, _changed_tensors)
    return Kind(".safetensors", seeds, mutations, read_networks)


def _universal_kind() -> Kind:
    mutations = (_changed_metadata, _changed_metadata, _changed_tensors)
    return Kind(".safetensors", [default_universal().read_bytes()], mutations, read_universal)


def _checkpoint_kind() -> Kind:
    """Archives of today; those of before PyTorch 1.6 have no outer form, see below."""
    small = {"net.weight": torch.randn(3, 4, 2), "net.bias": torch.zeros(3).half()}
    lightning = {
        "epoch": 3,
        "state_dict": {f"model.{name}": value for name, value in small.items()},
        "hyper_parameters": argparse.Namespace(lr=1e-3),
        "callbacks": {"best": np.float64(0.7)},
    }
    return Kind(".pth", _saved(small, lightning, is_zip=True), (_changed_records,) * 3, _read_all)


def _old_checkpoint_kind() -> Kind:
    tensors = {"net.weight": torch.randn(3, 4, 2), "net.bias": torch.zeros(3).half()}
    return Kind(".pth", _saved(tensors, {"model": tensors}, is_zip=False), (), _read_all)


def _released_kind() -> Kind:
    content = {
        "state_dict": published_tensors("gsv"),
        "state_dict_of": published_tensors("flow_light"),
    }
    seeds = _saved(content, is_zip=True)
    return Kind(".pth", seeds, (_changed_records,), read_released_propagation)


def _saved(*contents: object, is_zip: bool) -> list[bytes]:
    files = []
    for content in contents:
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=is_zip)
        files.append(file.getvalue())
    return files


def _read_all(path: Path) -> object:
    tensors = find_state_dict(read_torch_file(path), path)
    return [read_tensor(name, tensor, path) for name, tensor in tensors.items()]


def _yaml_kind() -> Kind:
    recipes = Path(__file__).resolve().parent.parent / "recipes"
    seeds = [path.read_bytes() for path in sorted(recipes.glob("keyframe_*.yaml"))]

    def read(path: Path) -> object:
        load_yaml(path)
        return read_parts(path, KeyframeRecipe)

    return Kind(".yaml", seeds, (_changed_text,), read)


def _label_kind() -> Kind:
    labels = (np.arange(40 * 30).reshape(40, 30) // 7 % 12).astype(np.uint8)
    colours = cv2.applyColorMap(labels, cv2.COLORMAP_JET)
    seeds = [bytes(cv2.imencode(".png", image)[1]) for image in (labels, colours)]
    # The same with a palette.
    end = 8 + 25
    palette = b"PLTE" + bytes(range(36))
    chunk = struct.pack(">I", 36) + palette + struct.pack(">I", zlib.crc32(palette))
    header = b"IHDR" + seeds[0][16:25] + b"\x03" + seeds[0][26:29]
    seeds.append(
        seeds[0][:12] + header + struct.pack(">I", zlib.crc32(header)) + chunk + seeds[0][end:]
    )

    def read(path: Path) -> object:
        read_image(path)
        return read_labels(path)

    return Kind(".png", seeds, (_changed_chunks,), read)


KINDS: dict[str, Callable[[], Kind]] = {
    "weights": _weights_kind,
    "universal": _universal_kind,
    "checkpoint": _checkpoint_kind,
    "old_checkpoint": _old_checkpoint_kind,
    "released": _released_kind,
    "yaml": _yaml_kind,
    "label": _label_kind,
}


def mutated(kind: Kind, name: str, seed: int, number: int) -> bytes:
    """Return the content of a case."""
    rng = random.Random(f"{name} {seed} {number}")
    content = rng.choice(kind.seeds)
    mutation = rng.choice((changed_bytes, *kind.mutations))
    try:
        return mutation(content, rng)
    except RecursionError:
        return content


@dataclass
class Summary:
    """What came of the cases of one kind.

    Attributes:
        kind: name of the kind of file.
        read: number of files that were read.
        refused: number of files that were refused in a short printable message.
        faults: everything else that happened, with the number of the case.
        slowest_s: longest CPU time of a case, seconds.
        slowest_case: its number.
        grown_bytes: how much the largest resident size of the process grew.
    """

    kind: str
    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest_case: int = -1
    grown_bytes: int = 0


def fuzz(name: str, seed: int, cases: range, hang_s: float) -> Summary:
    """Read mutated files one after another.

    Args:
        name: of the kind of file.
        seed: of the mutations.
        cases: their numbers.
        hang_s: after so many seconds within one case the process ends and says where it was.
    """
    kind = KINDS[name]()
    summary = Summary(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case{kind.suffix}"
        path.write_bytes(kind.seeds[0])
        kind.read(path)  # what is imported or compiled once
        before = _largest_bytes()
        with _limited_memory():
            for number in cases:
                path.write_bytes(mutated(kind, name, seed, number))
                print(f"{name}: case {number}", file=sys.stderr, flush=True)
                faulthandler.dump_traceback_later(hang_s, exit=True)
                started = time.process_time()
                _read(kind, path, number, summary)
                taken = time.process_time() - started
                faulthandler.cancel_dump_traceback_later()
                if taken > summary.slowest_s:
                    summary.slowest_s, summary.slowest_case = taken, number
        summary.grown_bytes = _largest_bytes() - before
    return summary


def _read(kind: Kind, path: Path, number: int, summary: Summary) -> None:
    try:
        kind.read(path)
        summary.read += 1
    except (ValueError, OSError) as error:
        summary.refused += 1
        text = str(error)
        if len(text) > _LONGEST_MESSAGE or not text.replace("\n", "").isprintable():
            summary.faults.append(f"case {number}: message {text[:300]!r}")
    except Exception as error:
        summary.faults.append(f"case {number}: {type(error).__name__}: {str(error)[:300]!r}")


def _largest_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """Let the process map so much more than it has mapped already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ADDRESS_SPACE_BYTES
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def main() -> None:
    """Fuzz kinds of files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", help=f"out of {', '.join(KINDS)}; all if none is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=10_000, help="number of cases of each kind")
    parser.add_argument("--hang", type=float, default=60.0, help="seconds before a case hangs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    cases = range(options.first, options.first + options.cases)
    for name in options.kinds or KINDS:
        summary = fuzz(name, options.seed, cases, options.hang)
        print(json.dumps(asdict(summary)), flush=True)


if __name__ == "__main__":
    main()
