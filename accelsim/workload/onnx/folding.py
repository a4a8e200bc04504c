"""Values and shapes that follow from constants, found operator by operator where ONNX's inference stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accelsim.workload.onnx.file import Absent, Computed, Constant
from accelsim.workload.onnx.node import SMALL, Node
from accelsim.workload.onnx.sizes import static
from accelsim.workload.shapes import MAX_DIM, Dims, elements

if TYPE_CHECKING:
    import numpy as np

# fmt: off
FOLDABLE = frozenset((
    "Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat", "Constant",
    "ConstantOfShape", "CumSum", "Div", "Equal", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather",
    "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual",
    "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad", "Pow", "Range",
    "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round",
    "ScatterElements", "ScatterND", "Shape", "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tile",
    "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze", "Where", "Xor",
))
# fmt: on
"""Operators that are computed when their inputs are small and known; none draws numbers or runs a graph of its own."""

FROM_SHAPE = ("Shape", "Size", "EyeLike")
"""Operators that look at the shape of their input alone."""

LEAST_BY_INPUT = ("Compress", "NonZero", "Unique")
"""Operators whose result has no more elements than their input has, times its rank."""


@dataclass
class Values:
    """The values of small tensors, computed when they are asked for, each once.

    Attributes
    ----------
    shapes, constants : dict
        What is known of tensors; both grow while the graph is read.
    opsets : mapping
        Domain -> version.
    counts : Counter
        Operators that were computed, by name.
    """

    shapes: dict[str, Dims]
    constants: dict[str, Constant]
    opsets: Mapping[str, int]
    counts: Counter[str] = field(default_factory=Counter)
    _makers: dict[str, Node] = field(default_factory=dict)
    _known: dict[str, np.ndarray | None] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Note an operator; its inputs have been noted."""
        if node.op in FOLDABLE:
            for name in node.outputs:
                self._makers[name] = node

    def of(self, name: str) -> np.ndarray | None:
        """Return the values of a tensor, or None if they are not known or not small."""
        stack = [name]
        while stack:
            top = stack[-1]
            if top not in self._known:
                wanted = [source for source in self._sources(top) if source not in self._known]
                if wanted:
                    stack += wanted
                    continue
                self._find(top)
            stack.pop()
        return self._known[name]

    def shape(self, name: str) -> Dims | None:
        """Return the shape of a tensor, if it is known."""
        return self.constants[name].shape if name in self.constants else self.shapes.get(name)

    def computed(self, name: str) -> Computed | None:
        """Return the values of a tensor that were computed before, as an origin."""
        array = self._known.get(name) if name in self._makers else None
        return None if array is None else Computed(array)

    def _sources(self, name: str) -> tuple[str, ...]:
        """Return the tensors whose values must be known first."""
        constant, node = self.constants.get(name), self._makers.get(name)
        if node is None or (constant is not None and constant.origin is not None) or not self._small(name, node):
            return ()
        return () if node.op in FROM_SHAPE else node.inputs

    def _small(self, name: str, node: Node) -> bool:
        """Whether the result is known to be small before it is computed."""
        if name in self.shapes:
            return elements(self.shapes[name]) <= SMALL
        source = self.shapes.get(node.optional(0))
        return node.op in LEAST_BY_INPUT and source is not None and elements(source) * max(len(source), 1) <= SMALL

    def _find(self, name: str) -> None:
        constant, node = self.constants.get(name), self._makers.get(name)
        if constant is not None and constant.origin is not None:
            there = elements(constant.shape) <= SMALL and not isinstance(constant.origin, Absent)
            self._known[name] = constant.read() if there else None
        elif node is None or not self._small(name, node):
            self._known[name] = None
        else:
            self._compute(node)

    def _compute(self, node: Node) -> None:
        import numpy as np

        given: dict[str, np.ndarray] = {}
        for source in node.inputs:
            if node.op in FROM_SHAPE:
                shape = self.shapes.get(source)
                # no value is read: an array of this shape that takes no memory
                found = None if shape is None else np.broadcast_to(np.float32(0), shape)
            else:
                found = self._known.get(source)
            if found is None:
                self._known |= dict.fromkeys(node.outputs)
                return
            given[source] = found
        results = evaluated(node, given, self.opsets)
        if results is None or any(result.size > SMALL for result in results):
            self._known |= dict.fromkeys(node.outputs)
        else:
            self._known |= dict(zip(node.outputs, results, strict=True))
            self.counts[node.op] += 1


def evaluated(node: Node, given: Mapping[str, Any], opsets: Mapping[str, int]) -> list[Any] | None:
    """Return the outputs of an operator on arrays, by ``onnx.reference``; None if it cannot be computed."""
    import numpy as np
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    try:
        info = helper.make_graph([node.proto], "g", [], [helper.make_empty_tensor_value_info(n) for n in node.outputs])
        info.input.extend(_typed(name, array) for name, array in given.items())
        domains = [helper.make_opsetid(*item) for item in opsets.items()]
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(helper.make_model(info, opset_imports=domains)).run(None, dict(given))
    except Exception:  # the evaluator is Python of many hands: whatever it raises, the value is not known
        return None
    if not all(isinstance(result, np.ndarray | np.generic) for result in results):
        return None
    return [np.asarray(result) for result in results]


def _typed(name: str, array: Any) -> Any:
    """Return the declaration of an input, with its type: some operators are functions that depend on it."""
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def inferred(
    node: Node, kinds: Mapping[str, int], values: Values, known: Mapping[str, Dims]
) -> tuple[dict[str, Dims], dict[str, int]]:
    """Return the shapes and element types of an operator's outputs, from those of its inputs and small values."""
    import onnx
    from onnx import helper, numpy_helper, shape_inference

    graph = onnx.GraphProto(name="g")
    graph.node.append(node.proto)
    for name in dict.fromkeys(node.inputs):
        kind = kinds.get(name, 0) or onnx.TensorProto.FLOAT
        shape = node.constants[name].shape if name in node.constants else known.get(name)
        graph.input.append(helper.make_tensor_value_info(name, kind, shape))
        array = values.of(name)
        if array is not None:
            tensor = numpy_helper.from_array(array, name)
            graph.input[-1].type.tensor_type.elem_type = tensor.data_type
            graph.initializer.append(tensor)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.outputs)
    opsets = [helper.make_opsetid(*item) for item in values.opsets.items()]
    try:
        model = helper.make_model(graph, opset_imports=opsets)
        result = shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError, TypeError):
        return {}, {}
    found = {value.name: value for value in result.graph.output}
    shapes = {name: dims for name, value in found.items() if (dims := static(value)) is not None and _real(dims)}
    return shapes, {name: value.type.tensor_type.elem_type for name, value in found.items()}


def _real(dims: Dims) -> bool:
    return all(size <= MAX_DIM for size in dims)
