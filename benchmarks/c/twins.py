"""Compiles the twins with plain ``gcc -O3`` and calls them as the kernels are called.

A public function of ``<engine>.c`` bears its kernel's name and takes the kernel's arguments in their order; its
declaration is the only table of signatures there is, and arguments are checked against it. See ``twin.h``.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
FLAGS = ("-std=c11", "-O3", "-Wall", "-fPIC", "-shared")
"""Neither -march=native nor -ffast-math: as accelsim's kernels, the twins run anywhere and round as written."""
GCC = shutil.which("gcc")
DTYPES = {"i64": "int64", "int32_t": "int32", "int8_t": "int8", "bool": "bool", "double": "float64"}
C_TYPES = {dtype: c_type for c_type, dtype in DTYPES.items()}
NUMBERS: dict[str, type] = {"i64": ctypes.c_int64, "bool": ctypes.c_bool, "double": ctypes.c_double}

DECLARATION = re.compile(r"^void (\w+)\((.*?)\) \{", re.MULTILINE | re.DOTALL)
PARAMETER = re.compile(r"ARRAY\((?:const )?(\w+), (\w+)\)|const struct \w+ \*(\w+)|(i64|bool|double) (\w+)")


class Parameter(NamedTuple):
    """``kind``: array, struct or number; ``c_type`` of a number or of an array's elements."""

    kind: str
    name: str
    c_type: str


def declarations(source: str) -> dict[str, list[Parameter]]:
    """Return the parameters of every public function of a C file, its ``result`` apart."""
    found = {}
    for name, text in DECLARATION.findall(source):
        found[name] = [
            Parameter("array", array, element) if array
            else Parameter("struct", struct, "i64") if struct
            else Parameter("number", number, c_type)
            for element, array, struct, c_type, number in PARAMETER.findall(text)
        ]  # fmt: skip
    return found


def leaves(argument: Any) -> Iterator[Any]:
    """Yield the arguments of the C function that one of the kernel becomes: tuples of integers stay whole."""
    if isinstance(argument, tuple) and not all(isinstance(x, int | np.integer | np.bool_) for x in argument):
        for part in argument:
            yield from leaves(part)
    else:
        yield argument


class Twin:
    """The twins of an engine's kernels."""

    def __init__(self, engine: str, build: Path) -> None:
        self.engine, self.build = engine, build
        self.source = FOLDER / f"{engine}.c"
        self.functions = declarations(self.source.read_text())
        self._libraries: dict[str, ctypes.CDLL] = {}

    @cached_property
    def values(self) -> set[str]:
        """Functions that take values of several types."""
        return {name for name, given in self.functions.items() if any(p.c_type == "VALUE" for p in given)}

    def call(self, name: str, args: tuple[Any, ...], size: int) -> tuple[Callable[[], None], np.ndarray]:
        """Return a call of twin ``name``, ready to go, and the ``size`` integers that it will return."""
        parameters, given = self.functions[name], [leaf for arg in args for leaf in leaves(arg)]
        if len(parameters) != len(given):
            raise TypeError(f"{self.source.name}: {name} takes {len(parameters)} parameters, not {len(given)}")
        value = next(
            (leaf.dtype.name for p, leaf in zip(parameters, given, strict=True) if p.c_type == "VALUE"), "int64"
        )
        result = np.empty(size, dtype=np.int64)
        kept: list[Any] = [result]
        packed: list[Any] = []
        for p, leaf in zip(parameters, given, strict=True):
            packed += self._pack(name, p, leaf, value, kept)
        function = self._library(value)[name]
        function.restype = None
        packed.append(ctypes.c_void_p(result.ctypes.data))

        def go() -> None:
            function(*packed)

        go.kept = kept  # type: ignore[attr-defined]
        return go, result

    def _pack(self, name: str, p: Parameter, leaf: Any, value: str, kept: list[Any]) -> list[Any]:
        where = f"{self.source.name}: {name}: {p.name}"
        if p.kind == "number":
            return [NUMBERS[p.c_type](leaf)]
        if p.kind == "struct":
            leaf = np.array(leaf, dtype=np.int64)
        expected = value if p.c_type == "VALUE" else DTYPES[p.c_type]
        if not isinstance(leaf, np.ndarray) or leaf.dtype.name != expected:
            raise TypeError(f"{where} must be an array of {expected}, not {getattr(leaf, 'dtype', type(leaf))}")
        if not leaf.flags.c_contiguous:
            raise TypeError(f"{where} is not in C order")
        shape = np.array(leaf.shape, dtype=np.int64)
        kept += [leaf, shape]
        pointers = [leaf] if p.kind == "struct" else [leaf, shape]
        return [ctypes.c_void_p(array.ctypes.data) for array in pointers]

    def _library(self, value: str) -> ctypes.CDLL:
        if value not in self._libraries:
            assert GCC is not None
            made = self.build / f"{self.engine}-{value}.so"
            command = [GCC, *FLAGS, f"-DVALUE={C_TYPES[value]}", "-o", str(made), str(self.source), "-lm"]
            subprocess.run(command, check=True)
            self._libraries[value] = ctypes.CDLL(str(made))
        return self._libraries[value]


def flat(returned: Any) -> np.ndarray:
    """Return everything that a kernel returns as one array, the way a twin writes it."""
    if returned is None:
        return np.zeros(0, dtype=np.int64)
    parts = returned if isinstance(returned, tuple) else (returned,)
    return np.concatenate([np.asarray(part, dtype=np.int64).ravel() for part in parts])


def difference(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> str | None:
    """Return where two sets of arguments differ after a call; floats may in the last digits (libm)."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for x, y in zip(leaves(a), leaves(b), strict=True):
            if not isinstance(x, np.ndarray):
                continue
            same = np.array_equal(x, y) if x.dtype.kind != "f" else np.allclose(x, y, 1e-12, 1e-300, equal_nan=True)
            if not same:
                return f"argument {i}"
    return None
