# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""The kernels for GPUs compiled, and the guard before them; `test_ops` has what they compute."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gsvnet_lab.data.on_grid import values_on_grid
from gsvnet_model.networks.propagation.kernels import ideal_delay_kernels
from gsvnet_model.ops.cuda.checked_kernel import CheckedKernel
from gsvnet_model.ops.mix import _taps, _taps_one_by_one, guided_filter

_COMPILATION = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from gsvnet_model.ops.cuda.labels import _label_row
from gsvnet_model.ops.cuda.mix import _mix_row

floats = {"row_step": "fp32", "column_step": "fp32", "epsilon": "fp32"}
arrays = dict.fromkeys(("logits", "probabilities", "padded", "bank", "mixing", "mixed"), "*fp32")
arrays |= {"out": "*u8", "intra": "*fp16", "scores": "*fp16"}
mixes = {"slots": 11, "side": 3, "has_intra": True, "class_block": 32, "block": 32}
for kernel, constants in ((_label_row, {"block": 256}), (_mix_row, mixes)):
    types = {name: (floats | arrays).get(name, "i32") for name in kernel.arg_names}
    types |= dict.fromkeys(constants, "constexpr")
    for architecture in (87, 90):  # Jetson Orin, H200
        target = GPUTarget("cuda", architecture, 32)
        assert compile(ASTSource(kernel, types, constants), target=target).asm["cubin"]
print("compiled")
"""


def test_kernels_compile_for_gpus() -> None:
    pytest.importorskip("triton")
    done = subprocess.run([sys.executable, "-c", _COMPILATION], capture_output=True, text=True)
    assert done.stdout == "compiled\n", done.stderr


def double(values: Tensor) -> Tensor:
    return 2 * values


def without_kernel() -> Callable[..., Tensor]:
    raise ImportError("No module named 'triton'")


def failing(values: Tensor) -> Tensor:
    raise RuntimeError("no binary for this GPU")


def test_kernel_that_agrees_is_used() -> None:
    calls: list[int] = []

    def kernel(values: Tensor) -> Tensor:
        calls.append(1)
        return values + values

    checked = CheckedKernel(double, lambda: kernel, torch.equal)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(3):
            assert checked(torch.tensor(number)) == 2 * number
    assert len(calls) == 4  # one to compare


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (without_kernel, "triton"),
        (lambda: failing, "no binary"),
        (lambda: lambda values: values + 3, "other results"),
    ],
    ids=["missing", "failing", "different"],
)
def test_kernel_that_does_not_work_is_named_once_and_not_used(
    load: Callable[[], Callable[..., Tensor]], why: str
) -> None:
    checked = CheckedKernel(double, load, torch.equal)
    with pytest.warns(RuntimeWarning, match=f"double: .*{why}"):
        assert checked(torch.tensor(1)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checked(torch.tensor(5)) == 10


class NoMatrixProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails at what a GPU may compute in TensorFloat-32."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("mm", "addmm", "bmm", "baddbmm", "convolution"), name
        return func(*args, **(kwargs or {}))


def filtered() -> Tensor:
    warped = torch.empty(1, 4, 7, 9, device="meta")
    mixing = torch.empty(1, 10, 7, 9, device="meta")
    return guided_filter(warped, mixing, ideal_delay_kernels(3).to("meta"), None)


def centred() -> Tensor:
    return values_on_grid(torch.empty(1, 3, 33, 50, device="meta"), 8, "centred")


def averaged() -> Tensor:
    return values_on_grid(torch.empty(1, 3, 33, 50, device="meta"), 8, "area")


@pytest.mark.parametrize("compute", [filtered, centred, averaged])
def test_what_is_fed_back_or_compared_stays_float32(compute: Callable[[], Tensor]) -> None:
    """Tensors without values take the code paths of a GPU."""
    with NoMatrixProducts():  # type: ignore[no-untyped-call]
        assert compute().dtype == torch.float32


def test_the_guard_of_the_test_above_guards() -> None:
    values = torch.empty(1, 3, 3, device="meta")
    with pytest.raises(AssertionError, match="mm"), NoMatrixProducts():  # type: ignore[no-untyped-call]
        values @ values


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("size", [3, 5])
def test_kernels_are_summed_one_by_one_as_at_once(
    size: int, dtype: torch.dtype, close: float
) -> None:
    torch.manual_seed(0)
    bank = ideal_delay_kernels(size)
    bank = bank + 0.1 * torch.randn(bank.shape)
    weights = torch.rand(2, len(bank), 7, 9).to(dtype)
    got, expected = _taps_one_by_one(bank, weights), _taps(bank, weights)
    assert got.shape == (2, size * size, 7, 9)
    torch.testing.assert_close(got, expected, rtol=close, atol=close)
