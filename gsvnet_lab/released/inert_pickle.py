# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Pickles read as data: nothing that they name is imported, nothing in them is called.

`torch.load(weights_only=True)` imports and calls what is on its list, refuses a whole file for one
number of NumPy's, and has let code run (CVE-2025-32434, before PyTorch 2.6). Here objects of
classes become `Foreign`, and the caller says what is made of calls that it knows.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

MAX_OPCODES = 250_000
"""A state dict takes about 40 for each tensor."""

Call: TypeAlias = Callable[[str, tuple[object, ...]], object]
"""Takes the dotted name of what is called and its arguments."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BYTEARRAY8"),
    )
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS = (str, int, float, bytes, type(None))
"""Kinds of keys: the hash of a deeply nested tuple would overflow the stack."""


@dataclass(frozen=True)
class Foreign:
    """What a pickle made by a class or function of its own.

    Attributes:
        name: dotted name of the class or function.
    """

    name: str


@dataclass(frozen=True)
class Named:
    """A class or function that a pickle names, itself.

    Attributes:
        name: dotted name of the class or function.
    """

    name: str


def read_pickle(file: BinaryIO, call: Call, persistent: Callable[[object], object]) -> object:
    """Return the object of one pickle; the file is then read up to its end and not further.

    Args:
        file: at the beginning of the pickle.
        call: gives the result of a call, `Foreign` where it knows none.
        persistent: gives the object of a persistent id.

    Returns:
        Numbers, texts, lists (also for sets), tuples, dicts, `Foreign`, `Named` and what `call`
        and `persistent` gave.

    Raises:
        Exception: of many kinds if the bytes are no pickle; ValueError if it is too long.
    """
    machine = _Machine(call, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count >= MAX_OPCODES:
            raise ValueError(f"a pickle of more than {MAX_OPCODES} steps")
        machine.run(opcode.name, argument)
    return machine.stack.pop()


class _Machine:
    """The stack machine whose program a pickle is."""

    def __init__(self, call: Call, persistent: Callable[[object], object]) -> None:
        self.stack: list[object] = []
        self._call = call
        self._persistent = persistent
        self._below_marks: list[list[object]] = []
        self._memo: dict[int, object] = {}

    def run(self, name: str, argument: object) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            items = self.stack[-_TUPLES[name] :]
            del self.stack[-_TUPLES[name] :]
            self.stack.append(tuple(items))
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._run_other(name, argument)

    def _run_other(self, name: str, argument: object) -> None:
        match name:
            case "MARK":
                self._below_marks.append(self.stack)
                self.stack = []
            case "POP":
                self.stack.pop()
            case "POP_MARK":
                self._since_mark()
            case "DUP":
                self.stack.append(self.stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[_number(argument)] = self.stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self._memo[_number(argument)])
            case "TUPLE":
                self._push(tuple(self._since_mark()))
            case "LIST" | "FROZENSET":
                self._push(self._since_mark())
            case "DICT":
                self._push(_with_items({}, self._since_mark()))
            case "APPEND":
                self._extend([self.stack.pop()])
            case "APPENDS" | "ADDITEMS":
                self._extend(self._since_mark())
            case "SETITEM":
                value, key = self.stack.pop(), self.stack.pop()
                _with_items(self.stack[-1], [key, value])
            case "SETITEMS":
                items = self._since_mark()
                _with_items(self.stack[-1], items)
            case "GLOBAL":
                self._push(Named(".".join(str(argument).split(" "))))
            case "STACK_GLOBAL":
                attribute, module = self.stack.pop(), self.stack.pop()
                self._push(Named(f"{module!s:.200}.{attribute!s:.200}"))
            case "REDUCE" | "NEWOBJ":
                arguments, called = self.stack.pop(), self.stack.pop()
                self._push(self._result(called, arguments))
            case "NEWOBJ_EX":
                _, arguments, called = self.stack.pop(), self.stack.pop(), self.stack.pop()
                self._push(self._result(called, arguments))
            case "OBJ":
                called, *arguments_list = self._since_mark()
                self._push(self._result(called, tuple(arguments_list)))
            case "INST":
                called = Named(".".join(str(argument).split(" ")))
                self._push(self._result(called, tuple(self._since_mark())))
            case "BUILD":  # the state of an object: what it is made of is of no interest
                self.stack.pop()
            case "PERSID":
                self._push(self._persistent(argument))
            case "BINPERSID":
                self._push(self._persistent(self.stack.pop()))
            case _:
                raise ValueError(f"a pickle with {name}")

    def _push(self, value: object) -> None:
        self.stack.append(value)

    def _since_mark(self) -> list[object]:
        items, self.stack = self.stack, self._below_marks.pop()
        return items

    def _extend(self, items: Iterable[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Foreign):
            raise ValueError(f"items for {type(target).__name__}")

    def _result(self, called: object, arguments: object) -> object:
        if isinstance(called, Foreign):
            return called
        if not isinstance(called, Named) or not isinstance(arguments, tuple):
            raise ValueError(f"a call of {type(called).__name__}")
        return self._call(called.name, arguments)


def _with_items(target: object, items: list[object]) -> object:
    """Put key, value, key, value, ... into a dict; an object of its own class ignores them."""
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise ValueError(f"a key of {type(key).__name__}")
            target[key] = value
    elif not isinstance(target, Foreign):
        raise ValueError(f"items for {type(target).__name__}")
    return target


def _number(argument: object) -> int:
    assert isinstance(argument, int)  # as the opcode has it
    return argument
