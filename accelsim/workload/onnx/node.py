"""An ONNX operator with typed access to its attributes, inputs and their shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accelsim.errors import WorkloadError
from accelsim.workload.onnx.file import Constant
from accelsim.workload.shapes import Dims

if TYPE_CHECKING:
    import numpy as np

SMALL = 4096
"""Constants of at most this many elements take part in shape inference; the others are only declared."""

DEFAULT_DOMAINS = ("", "ai.onnx")


class RefusedError(Exception):
    """The operator cannot be imported: the reason, for the report."""


class UnknownShapeError(Exception):
    """Nothing tells the shape of the tensor of this name."""


@dataclass(frozen=True)
class Node:
    """An operator of the graph with its attributes; absent inputs have an empty name.

    ``values`` returns those of a small tensor, or None if they are not known.
    """

    proto: Any
    opset: int
    shapes: Mapping[str, Dims] = field(repr=False)
    constants: Mapping[str, Constant] = field(repr=False)
    shown: str
    values: Callable[[str], np.ndarray | None] = field(repr=False)

    @cached_property
    def op(self) -> str:
        """Operator name, with its domain unless that is ONNX's own."""
        domain = self.proto.domain
        return self.proto.op_type if domain in DEFAULT_DOMAINS else f"{domain}.{self.proto.op_type}"

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, absent ones left out."""
        return tuple(name for name in self.proto.input if name)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, absent ones left out."""
        return tuple(name for name in self.proto.output if name)

    @property
    def activations(self) -> tuple[str, ...]:
        """Inputs that are no constants."""
        return tuple(name for name in self.inputs if name not in self.constants)

    def input(self, index: int) -> str:
        """Return the name of an input, which must be there."""
        name = self.optional(index)
        if not name:
            raise WorkloadError(
                f"operator '{self.label}' ({self.op}) has no input {index}", "export the model again", file=self.shown
            )
        return name

    def optional(self, index: int) -> str:
        """Return the name of an input, or an empty one."""
        return self.proto.input[index] if index < len(self.proto.input) else ""

    def shape(self, name: str) -> Dims:
        """Return the shape of a tensor."""
        if name in self.constants:
            return self.constants[name].shape
        if name not in self.shapes:
            raise UnknownShapeError(name)
        return self.shapes[name]

    def numbers(self, name: str) -> Dims:
        """Return the values of a small constant of integers; RefusedError if they are not at hand."""
        return tuple(int(value) for value in self.array(name).reshape(-1))

    def array(self, name: str) -> np.ndarray:
        """Return the values of a small constant; RefusedError if they are not at hand."""
        found = self.values(name)
        if found is None:
            raise RefusedError(f"the values of '{name}' do not follow from the file")
        return found

    def constant(self, name: str) -> bool:
        """Whether the tensor is a constant."""
        return name in self.constants

    @property
    def label(self) -> str:
        """How messages call the operator."""
        return self.proto.name or next(iter(self.outputs), self.op)

    @cached_property
    def _attributes(self) -> dict[str, Any]:
        return {attribute.name: attribute for attribute in self.proto.attribute}

    def has(self, name: str) -> bool:
        """Whether the attribute is there."""
        return name in self._attributes

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        return int(self._attributes[name].i) if name in self._attributes else default

    def real(self, name: str, default: float) -> float:
        """Return a real attribute."""
        return float(self._attributes[name].f) if name in self._attributes else default

    def integers(self, name: str, default: Dims) -> Dims:
        """Return an attribute that is a list of integers."""
        return tuple(self._attributes[name].ints) if name in self._attributes else default

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is text."""
        return self._attributes[name].s.decode("utf-8", "replace") if name in self._attributes else default

    def texts(self, name: str) -> tuple[str, ...]:
        """Return an attribute that is a list of texts; none if it is not there."""
        found = self._attributes[name].strings if name in self._attributes else ()
        return tuple(text.decode("utf-8", "replace") for text in found)

    @property
    def has_subgraph(self) -> bool:
        """Whether the operator runs graphs of its own (If, Loop, Scan)."""
        return any(a.HasField("g") or a.graphs for a in self.proto.attribute)
