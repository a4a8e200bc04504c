"""Sizes that an ONNX graph leaves open, and which of its dimensions is the batch."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import add, floordiv, mul, sub
from typing import Any

from accelsim.errors import WorkloadError
from accelsim.workload import sizes
from accelsim.workload.onnx.node import Node, UnknownShapeError
from accelsim.workload.shapes import MAX_DIM, Dims

BATCH = "batch"
"""The name under which the batch can be given, whatever the graph calls it."""
_BATCH_NAME = re.compile(r"(n|b|bs|num_?images|\w*batch\w*)$", re.IGNORECASE)
_LENGTH_NAME = re.compile(r"(t|l|s|time|steps|frames|\w*(seq|len|token|time_?step)\w*)$", re.IGNORECASE)
"""A first dimension with such a name is no batch unless somebody says so."""
_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.FloorDiv: floordiv, ast.Div: floordiv,
}  # fmt: skip
_LETTER = re.compile(r"[^\W\d_]")
"""A symbol without a letter, such as '?', is no name: it may stand for several sizes."""
_PLAIN_NAME = re.compile(r"[\w.-]+$")
MAX_EXPRESSION = 200
"""Longer texts are no expressions of sizes."""
_RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class OpenSizes:
    """What became of the sizes that a graph leaves open.

    Attributes
    ----------
    known : mapping
        Symbol of the graph -> size.
    batch : int
        Images that the shapes cover.
    settled : bool
        Whether the batch is that of a dimension of this name, or was given.
    firsts : mapping
        Input -> its first dimension, of inputs with two dimensions or more.
    doubt : str
        Why the batch is not known, if it is not.
    notes : tuple of str
        What a reader of results must know of it.
    """

    known: Mapping[str, int]
    batch: int = 1
    settled: bool = False
    firsts: Mapping[str, int] = field(default_factory=dict)
    doubt: str = ""
    notes: tuple[str, ...] = ()

    def close(self, value: Any) -> None:
        """Give the symbols of a declared tensor their sizes."""
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and (size := _evaluated(dim.dim_param, self.known)) is not None:
                dim.dim_value = size

    def with_batch(self, outputs: Sequence[Dims | None], nodes: Iterable[Node]) -> OpenSizes:
        """Return the sizes with the batch that a graph of fixed sizes tells.

        A recurrent operator says which dimension of it is the batch; else it is the first dimension of all inputs;
        where they differ, that of one input and of all outputs.
        """
        if self.settled:
            return self
        said = {size for node in nodes if node.op in _RECURRENT and (size := _steps_batch(node)) is not None}
        firsts = set(self.firsts.values())
        if len(said) == 1 and firsts - said:
            (batch,) = said
            return self._found(batch, f"the batch of its recurrent operators, {batch}, is taken as the graph's")
        if len(firsts) < 2:
            batch = max(firsts, default=1)
            text = (
                f"the graph is fixed at a first dimension of {batch}, taken as the batch; --dim batch=N says otherwise"
            )
            return self._found(batch, text if batch > 1 else "")
        shared = firsts.intersection(*({dims[0]} for dims in outputs if dims is not None and len(dims) > 1))
        listed = ", ".join(f"{name}: {size}" for name, size in self.firsts.items())
        if len(shared) == 1 and all(dims is not None for dims in outputs):
            (batch,) = shared
            text = f"its inputs begin with different dimensions ({listed}); the batch is {batch}, that of its outputs"
            return self._found(batch, text)
        doubt = f"its inputs begin with different dimensions ({listed}): the batch is not known"
        return replace(self, doubt=doubt, notes=(*self.notes, f"{doubt}; the graph is taken as one image"))

    def _found(self, batch: int, note: str) -> OpenSizes:
        return replace(self, batch=max(batch, 1), notes=(*self.notes, *((note,) if note else ())))


def settings(inputs: Sequence[Any], given: sizes.Sizes) -> dict[str, Any]:
    """Return the inputs that are a single integer and whose value is given by name, as constants.

    Such an input chooses (a sampling rate, a flag): with its value, shapes and branches that follow from it are known.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    found = {}
    for value in inputs:
        if value.name in given and _single(value):
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            array = np.full([1] * len(value.type.tensor_type.shape.dim), given[value.name], dtype)
            found[value.name] = numpy_helper.from_array(array, value.name)
    return found


def _single(value: Any) -> bool:
    from onnx import TensorProto

    kind = value.type.tensor_type
    dims = kind.shape.dim if kind.HasField("shape") else ()
    whole = kind.elem_type in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
    return kind.HasField("shape") and whole and all(dim.dim_value == 1 for dim in dims)


def closed(inputs: Sequence[Any], given: sizes.Sizes, shown: str) -> OpenSizes:
    """Set every open dimension of the inputs: those that are given, and the batch, which is 1 by default.

    A dimension is open if it has a symbol, no size, or one below 0. It is called by its symbol, or ``<input>.<axis>``
    without one. The batch is the dimension whose symbol says so, or the open first one; ``batch`` names it too.

    Raises
    ------
    ConfigError
        A size of a dimension that is not open.
    WorkloadError
        Open dimensions besides the batch whose sizes are not given; inputs that are no tensors of known rank.
    """
    open_ = _open(inputs, shown)
    symbols = {name for dims in open_.values() for name in dims.values()}
    symbols |= {part for name in symbols for part in _parts(name)}
    batch = _batch_symbols(open_)
    sizes.check_names(given, symbols | {BATCH} | {value.name for value in inputs if _single(value)}, shown)
    known = dict.fromkeys(batch, given.get(BATCH, 1)) | {n: size for n, size in given.items() if n in symbols}
    missing = {
        name: (value, axis) for value, dims in open_.items() for axis, name in dims.items()
        if _evaluated(name, known) is None
    }  # fmt: skip
    if missing:
        raise _not_given(missing, known, shown)
    for value in inputs:
        for axis, name in open_[value.name].items():
            size = _evaluated(name, known) or 0
            if not 1 <= size <= MAX_DIM:
                problem = f"dimension '{name}' of input '{value.name}' becomes {size}"
                raise WorkloadError(problem, "give other sizes", file=sizes.OPTION)
            value.type.tensor_type.shape.dim[axis].dim_value = size
    notes: tuple[str, ...] = (sizes.said(given),) if given else ()
    firsts = {value.name: dims[0] for value in inputs if len(dims := static(value) or ()) > 1}
    if not batch:
        return OpenSizes(known, given.get(BATCH, 1), BATCH in given, firsts, notes=notes)
    if BATCH not in given and not _BATCH_NAME.match(batch[0]):
        quoted = ", ".join(f"'{name}'" for name in batch)
        notes += (f"dimension {quoted}, open and the first of an input, is taken as the batch",)
    return OpenSizes(known, known[batch[0]], True, firsts, notes=notes)


def static(value: Any) -> Dims | None:
    """Return the shape of a declared tensor if all of it is known."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    known = all(dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0 for dim in dims)
    return tuple(dim.dim_value for dim in dims) if known else None


def _open(inputs: Sequence[Any], shown: str) -> dict[str, dict[int, str]]:
    """Return input -> axis -> name of its open dimensions."""
    found: dict[str, dict[int, str]] = {}
    for value in inputs:
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            problem = f"input '{value.name}' is no tensor of known rank"
            raise WorkloadError(problem, "export with the shape of the input", file=shown)
        dims = enumerate(value.type.tensor_type.shape.dim)
        found[value.name] = {
            axis: dim.dim_param if _LETTER.search(dim.dim_param) else f"{value.name}.{axis}" for axis, dim in dims
            if dim.WhichOneof("value") != "dim_value" or dim.dim_value < 0
        }  # fmt: skip
    return found


def _batch_symbols(open_: Mapping[str, Mapping[int, str]]) -> tuple[str, ...]:
    """Return the open dimensions that are the batch: by name, else the only symbol that comes first, else those
    without a symbol that come first."""
    names = {name for dims in open_.values() for name in dims.values()}
    named = sorted(name for name in names if _BATCH_NAME.match(name))
    if named:
        return (next((name for name in named if "batch" in name.lower()), named[0]),)
    firsts = dict.fromkeys(dims[0] for dims in open_.values() if 0 in dims)
    nameless = {f"{name}.0" for name in open_}
    if len(firsts) > 1 and not nameless.issuperset(firsts):
        return ()
    return tuple(name for name in firsts if not _LENGTH_NAME.match(name))


def _not_given(missing: Mapping[str, tuple[str, int]], known: Mapping[str, int], shown: str) -> WorkloadError:
    name, (value, axis) = next(iter(missing.items()))
    if len(missing) == 1:
        problem = f"input '{value}' has a dynamic dimension '{name}' (number {axis})"
    else:
        listed = ", ".join(f"'{n}' (input '{v}', number {i})" for n, (v, i) in missing.items())
        problem = f"its inputs have dynamic dimensions: {listed}"
    wanted = dict.fromkeys(part for name in missing for part in _parts(name) or (name,) if part not in known)
    remedy = " ".join(f"--dim {part}=N" for part in wanted)
    return WorkloadError(problem, f"give {'its size' if len(wanted) == 1 else 'their sizes'}: {remedy}", file=shown)


def _parts(text: str) -> tuple[str, ...]:
    """Return the names in an expression such as ``past + seq``; none of what is no expression."""
    tree = _parsed(text)
    return tuple(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)) if tree is not None else ()


def _evaluated(text: str, known: Mapping[str, int]) -> int | None:
    """Return the size of a symbol, or of an expression of symbols, if all of them are known."""
    if text in known:
        return known[text]
    tree = _parsed(text)
    return None if tree is None else _value(tree, known)


def _parsed(text: str) -> ast.expr | None:
    if len(text) > MAX_EXPRESSION or _PLAIN_NAME.match(text):
        return None
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _value(tree: ast.expr, known: Mapping[str, int]) -> int | None:
    if isinstance(tree, ast.Name):
        return known.get(tree.id)
    if isinstance(tree, ast.Constant):
        return tree.value if isinstance(tree.value, int) and not isinstance(tree.value, bool) else None
    if isinstance(tree, ast.BinOp) and type(tree.op) in _ARITHMETIC:
        left, right = _value(tree.left, known), _value(tree.right, known)
        if left is None or right is None or (not right and isinstance(tree.op, ast.FloorDiv | ast.Div)):
            return None
        return _ARITHMETIC[type(tree.op)](left, right)
    return None


def _steps_batch(node: Node) -> int | None:
    """Return the batch of a recurrent operator: dimension 1 of its input, 0 with layout 1."""
    try:
        dims = node.shape(node.optional(0))
    except UnknownShapeError:
        return None
    return dims[0 if node.integer("layout", 0) else 1] if len(dims) == 3 else None
