"""What an ONNX graph computes, kept beside its layers: its operators in running order, with their constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.onnx.file import Constant
from accelsim.workload.onnx.node import Node
from accelsim.workload.onnx.quant import IntType

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, repr=False)
class Program:
    """The operators of a graph, those on constants included.

    Attributes
    ----------
    nodes : tuple of Node
        In running order; control flow of known course is in its place.
    stored : mapping
        Tensor name -> constant as the file holds it.
    opsets : mapping
        Domain -> version.
    inputs : tuple of str
        Activations that come from outside.
    kinds : mapping
        Tensor name -> ONNX element type.
    types : mapping
        Tensor name -> width and sign, where the graph says.
    batch : int
        Images of the graph as it is written.
    layers : mapping
        First output of an operator -> names of the layers that it became.
    """

    nodes: tuple[Node, ...]
    stored: Mapping[str, Constant]
    opsets: Mapping[str, int]
    inputs: tuple[str, ...]
    kinds: Mapping[str, int]
    types: Mapping[str, IntType]
    batch: int = 1
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def constant(self, name: str) -> np.ndarray | None:
        """Return what the file holds under a name; None if that is nothing, or no numbers."""
        found = self.stored.get(name)
        if found is None or found.origin is None or found.absent:
            return None
        try:
            return found.read()
        except WorkloadError:
            return None
