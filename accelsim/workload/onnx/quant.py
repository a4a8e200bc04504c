"""Widths and signs that an ONNX graph gives its tensors: integer types, and what QuantizeLinear puts on real ones.

A tensor between QuantizeLinear and DequantizeLinear is one tensor to a machine: the real tensors around it take the
width of the integers, a view each. The filters of such a graph are the integers that it stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from accelsim.errors import WorkloadError
from accelsim.workload.onnx.file import Constant
from accelsim.workload.onnx.node import Node

if TYPE_CHECKING:
    import numpy as np


class IntType(NamedTuple):
    """Width and sign."""

    bits: int
    signed: bool


MOST_BITS = 32
"""Integers of 64 bits are indices and lengths, which no machine here keeps in more than these."""

KEEPS_VALUES = ("Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operators whose results are some of their inputs' numbers."""

SUMS = ("ConvInteger", "MatMulInteger")
"""Operators whose outputs are 32-bit sums."""


def types(nodes: Iterable[Node], kinds: Mapping[str, int]) -> dict[str, IntType]:
    """Return tensor name -> type, where the graph says.

    Parameters
    ----------
    nodes : iterable of Node
        All of the graph, in running order.
    kinds : mapping
        Tensor name -> ONNX element type.
    """
    order = tuple(nodes)
    known = {name: kind for name, number in kinds.items() if (kind := _int_type(number)) is not None}
    found = dict(known)
    for node in order:
        source = node.optional(0)
        if node.op == "DequantizeLinear" and source in known:
            found[source] = known[source]
        if node.op in (*KEEPS_VALUES, "DequantizeLinear") and source in found:
            found |= {name: found[source] for name in node.outputs[:1] if name not in known}
        elif node.op in SUMS:
            found |= dict.fromkeys(node.outputs[:1], IntType(32, True))
    readers: dict[str, set[IntType | None]] = {}
    for node in order:
        made = found.get(node.outputs[0]) if node.op == "QuantizeLinear" and node.outputs else None
        for name in node.inputs:
            readers.setdefault(name, set()).add(made)
    for node in reversed(order):
        source = node.optional(0)
        if node.op == "QuantizeLinear" and source and source not in found:
            wanted = readers[source]
            kind = next(iter(wanted)) if len(wanted) == 1 else None
            if kind is not None:
                found[source] = kind
    return found


@cache
def _int_type(number: int) -> IntType | None:
    """Return the type of an ONNX element type such as UINT8, if it is an integer; 64 bits become `MOST_BITS`."""
    from onnx import TensorProto

    if number not in TensorProto.DataType.values():
        return None
    name = TensorProto.DataType.Name(number)
    sign, _, bits = name.partition("INT")
    return IntType(min(int(bits), MOST_BITS), sign != "U") if sign in ("", "U") and bits.isdigit() else None


@dataclass(frozen=True)
class Quantized:
    """Codes of a real constant that the graph itself quantises."""

    source: Constant
    scale: Constant
    zero: Constant | None
    axis: int
    type: IntType
    name: str
    shown: str

    def read(self) -> np.ndarray:
        """Return ``saturate(round(x / scale) + zero)``, halves to even."""
        import numpy as np

        reals, scale = self.source.read(), self.scale.read().astype(np.float32)
        zero = self.zero.read().astype(np.int64) if self.zero is not None else np.zeros(1, np.int64)
        dims = [1] * reals.ndim
        if scale.size > 1:
            dims[self.axis] = reals.shape[self.axis]
        if not np.isfinite(reals).all() or not (scale > 0).all() or {scale.size, zero.size} - {1, prod(dims)}:
            line = f"'{self.name}' quantises with scales of {list(scale.shape)} that do not fit or are not positive"
            raise WorkloadError(line, "export the model again", file=self.shown)
        scale, zero = scale.reshape(dims), zero.reshape(dims if zero.size > 1 else ())
        bits, signed = self.type
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return np.clip(np.rint(reals.astype(np.float32) / scale).astype(np.int64) + zero, low, high)


def folded(node: Node, found: Mapping[str, IntType]) -> Any:
    """Return the integers of a constant that a Quantize- or DequantizeLinear makes, or None if they are not known."""
    source, scale = node.constants.get(node.optional(0)), node.constants.get(node.optional(1))
    if source is None or source.origin is None:
        return None
    if node.op == "DequantizeLinear":
        return source
    kind = found.get(node.outputs[0]) if node.outputs else None
    zero = node.constants.get(node.optional(2))
    blocked = bool(node.integer("block_size", 0))
    if kind is None or blocked or scale is None or scale.origin is None or (zero is not None and zero.origin is None):
        return None
    axis = node.integer("axis", 1) % max(len(source.shape), 1)
    return Constant(source.shape, Quantized(source, scale, zero, axis, kind, node.label, node.shown))
