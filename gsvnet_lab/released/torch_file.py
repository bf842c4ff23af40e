# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Files written by `torch.save`, of today and of before PyTorch 1.6, without `torch.load`.

What a file holds is known before any tensor is read, and no tensor takes more memory than the
file does. Code in the file is never run; see `inert_pickle`.
"""

from __future__ import annotations

import io
import math
import re
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gsvnet_lab.released.inert_pickle import Foreign, Named, read_pickle
from gsvnet_model.checkpoint.quoted import quoted

MAX_FILE_BYTES = 2 << 30
MAX_PICKLE_BYTES = 4 << 20
"""What describes the tensors, a few hundred bytes each."""
MAX_RECORDS = 20_000

_LARGEST_PART = 16
"""A view is at least a sixteenth of its storage, which is read as a whole."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class Storage:
    """Where the values of a tensor lie.

    Attributes:
        key: its name in the file.
        dtype: of the values.
        num_values: their number.
    """

    key: str
    dtype: torch.dtype
    num_values: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is not read yet.

    Attributes:
        shape: its shape.
        stride: values from one index to the next, for each axis.
        offset: of the first value in the storage.
        storage: where the values are.
        read_bytes: gives the bytes of a storage.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage: Storage
    read_bytes: Callable[[Storage], bytes]

    def read(self) -> Tensor:
        """Return the tensor.

        Raises:
            ValueError: if its bytes are damaged or missing.
        """
        content = bytearray(self.read_bytes(self.storage))
        if len(content) != self.storage.num_values * self.storage.dtype.itemsize:
            raise ValueError(
                f"expected {self.storage.num_values} values in storage {self.storage.key}, "
                f"got {len(content)} bytes"
            )
        if not math.prod(self.shape):
            return torch.empty(self.shape, dtype=self.storage.dtype)
        values = torch.frombuffer(content, dtype=self.storage.dtype)
        return values.as_strided(self.shape, self.stride, self.offset).clone()


def read_torch_file(path: Path) -> object:
    """Return what `torch.save` was given.

    Returns:
        dicts, lists, numbers and texts, `StoredTensor` for tensors and parameters, `Foreign` for
        other objects.

    Raises:
        ValueError: if the file is not such a file, is damaged, or asks for more than it holds.
        OSError: if the file cannot be opened.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: expected a checkpoint, got what is no regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ValueError(
            f"{path}: expected a checkpoint of at most {MAX_FILE_BYTES} bytes, got {status.st_size}"
        )
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    try:
        return _read_zip(path) if is_zip else _read_legacy(path)
    # Damaged bytes break a pickle and an archive in every way there is.
    except Exception as error:
        raise ValueError(
            f"{path}: expected a checkpoint of tensors written by torch.save, got a file that "
            f"does not load as one ({str(error)[:200]!r}); download it again, or save its state "
            "dict alone"
        ) from error


def _read_zip(path: Path) -> object:
    archive = zipfile.ZipFile(path)  # open for as long as there are tensors to be read
    records = archive.infolist()
    names = {record.filename for record in records}
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError("a TorchScript archive")
    if len(records) > MAX_RECORDS or len(names) < len(records):
        raise ValueError(f"{len(records)} records, too many or some of one name")
    # torch.save compresses nothing, and what is not compressed cannot be inflated.
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("compressed records, which torch.save does not write")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise ValueError("records larger than the file")
    (described,) = (name for name in names if re.fullmatch("[^/]+/data.pkl", name))
    root = described.partition("/")[0]
    if f"{root}/byteorder" in names and archive.read(f"{root}/byteorder") != b"little":
        raise ValueError("big-endian values")
    size = archive.getinfo(described).file_size
    if size > MAX_PICKLE_BYTES:
        raise ValueError(f"a description of {size} bytes")
    calls = _Calls(lambda storage: archive.read(f"{root}/data/{storage.key}"))
    return read_pickle(io.BytesIO(archive.read(described)), calls, _persistent)


def _read_legacy(path: Path) -> object:
    with path.open("rb") as file:
        start = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    offsets: dict[str, int] = {}
    storages: dict[str, Storage] = {}

    def read_bytes(storage: Storage) -> bytes:
        with path.open("rb") as file:
            file.seek(offsets[storage.key])
            return file.read(storage.num_values * storage.dtype.itemsize)

    def persistent(identity: object) -> Storage | Foreign:
        storage = _persistent(identity)
        if isinstance(storage, Storage) and storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"two storages {storage.key!r}")
        return storage

    calls = _Calls(read_bytes)
    if read_pickle(start, calls, persistent) != _LEGACY_MAGIC:
        raise ValueError("another kind of file")
    for _ in ("version", "system"):
        read_pickle(start, calls, persistent)
    content = read_pickle(start, calls, persistent)
    keys = read_pickle(start, calls, persistent)
    if not isinstance(keys, list) or {*map(str, keys)} != storages.keys():
        raise ValueError("a list of storages that is not that of the tensors")
    position = start.tell()
    for key in keys:
        offsets[key] = position + 8  # their number comes first
        position = offsets[key] + storages[key].num_values * storages[key].dtype.itemsize
    if position > path.stat().st_size:
        raise ValueError("storages larger than the file")
    return content


def _persistent(identity: object) -> Storage | Foreign:
    """Return what `torch.save` refers to: storages, and classes whose source it stored."""
    match identity:
        case ("storage", Named(kind), str(key), _, int(num_values), *views) if views in (
            [],
            [None],
        ):
            dtype = _DTYPES.get(kind.rpartition(".")[2])
            if dtype is not None and num_values >= 0:
                return Storage(key, dtype, num_values)
        case ("module", Named(name), *_):
            return Foreign(name)
    raise ValueError(f"an unknown storage {quoted(identity)}")


@dataclass(frozen=True)
class _Calls:
    """The calls by which `torch.save` stores tensors and dicts."""

    read_bytes: Callable[[Storage], bytes]

    def __call__(self, name: str, arguments: tuple[object, ...]) -> object:
        match name, arguments:
            case "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", (
                Storage() as storage,
                int(offset),
                tuple(shape),
                tuple(stride),
                *_,
            ):
                return self._tensor(storage, offset, shape, stride)
            case "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", (
                StoredTensor() as tensor,
                *_,
            ):
                return tensor
            case "collections.OrderedDict" | "collections.defaultdict", _:
                return _dict(arguments)
        return Foreign(name)

    def _tensor(
        self,
        storage: Storage,
        offset: int,
        shape: tuple[object, ...],
        stride: tuple[object, ...],
    ) -> StoredTensor:
        sizes = tuple(value for value in shape if isinstance(value, int) and value >= 0)
        steps = tuple(value for value in stride if isinstance(value, int) and value >= 0)
        if not len(sizes) == len(shape) == len(steps) == len(stride) <= 8:
            raise ValueError(f"a tensor of shape {quoted(shape)} and stride {quoted(stride)}")
        num_values = math.prod(sizes)
        reach = 1 + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
        if num_values and not (
            num_values <= reach <= storage.num_values - offset
            and offset >= 0
            and storage.num_values <= _LARGEST_PART * num_values
        ):
            raise ValueError(
                f"a tensor of shape {quoted(sizes)}, stride {quoted(steps)} and offset {offset} in "
                f"a storage of {storage.num_values} values; save a clone of it"
            )
        return StoredTensor(sizes, steps, offset, storage, self.read_bytes)


def _dict(arguments: tuple[object, ...]) -> dict[object, object]:
    """Return the dict of `OrderedDict()` or, by Python 2, of `OrderedDict([[key, value]])`."""
    found: dict[object, object] = {}
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    for key, value in pairs:
        if not isinstance(key, str | int):
            raise ValueError(f"a key of {type(key).__name__}")
        found[key] = value
    return found
