"""The ONNX graph made ready for import: batch set, shapes inferred, constants folded away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelsim.errors import WorkloadError
from accelsim.text import quoted
from accelsim.workload.onnx import contributed, quant
from accelsim.workload.onnx.control import Inlined, branch, loop, scan
from accelsim.workload.onnx.file import Absent, Constant, constant
from accelsim.workload.onnx.folding import Values, inferred
from accelsim.workload.onnx.node import DEFAULT_DOMAINS, SMALL, Node
from accelsim.workload.onnx.program import Program
from accelsim.workload.onnx.quant import IntType
from accelsim.workload.onnx.sizes import OpenSizes, closed, settings, static
from accelsim.workload.shapes import Dims, elements
from accelsim.workload.sizes import Sizes

SAME_VALUES = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear")
"""Operators that leave a constant's values as they are, of the last two in integers."""

MAX_TURNS = 1024
"""Loops with more turns stay one unsupported layer."""
MAX_UNROLLED_BYTES = 1 << 26
"""Nor are bodies repeated that would take more than this."""
FIRST_AXES = 9
"""Operator set from which on Scan has axes and no batch."""
MAX_NODES = 50_000
"""Control flow is not followed beyond so many operators."""

MISTAKEN = ("STFT",)
"""Operators whose shapes ONNX (1.23) infers wrongly: of a spectrum it counts both sides, whatever ``onesided`` says."""

RANDOM = ("Multinomial", "Bernoulli")
"""Operators besides Random* whose result is not a constant even when their inputs are."""


@dataclass(frozen=True)
class Graph:
    """A graph with what is known about it.

    Attributes
    ----------
    nodes : tuple of Node
        Those that work on activations, in running order.
    shapes : mapping
        Tensor name -> shape, where all of it is known.
    constants : mapping
        Tensor name -> constant, folded ones included.
    inputs : tuple of str
        Activations that come from outside.
    sizes : OpenSizes
        Which sizes the graph left open, and the images that its shapes cover.
    fills : int
        Constants that are only a fill (ConstantOfShape).
    types : mapping
        Tensor name -> width and sign, where the graph says.
    values : Values
        What was computed of small tensors.
    program : Program
        All operators, for who wants to know what they compute.
    """

    nodes: tuple[Node, ...]
    shapes: Mapping[str, Dims]
    constants: Mapping[str, Constant]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sizes: OpenSizes
    fills: int
    types: Mapping[str, IntType]
    values: Values
    program: Program


def prepare(model: Any, folder: Path, shown: str, dims: Sizes) -> Graph:
    """Return the model's graph with shapes and constants.

    Parameters
    ----------
    model : onnx.ModelProto
    folder : Path
        The model's folder, the only one from which weights are read.
    shown : str
        How messages call the file.
    dims : mapping
        Sizes of dimensions that the graph leaves open.

    Raises
    ------
    WorkloadError
        Sizes that are not given, inputs that are no tensors, contradictory shapes, missing weights.
    """
    initialisers = {t.name: t for t in model.graph.initializer}
    sparse = {s.values.name: s for s in model.graph.sparse_initializer}
    chosen = settings([value for value in model.graph.input if value.name not in initialisers], dims)
    initialisers |= chosen
    constants = {name: constant(t, folder, shown) for name, t in initialisers.items()}
    constants |= {name: Constant(tuple(s.dims)) for name, s in sparse.items()}
    outside = [value for value in model.graph.input if value.name not in constants]
    sizes = closed(outside, {name: size for name, size in dims.items() if name not in chosen}, shown)
    if chosen:
        taken = ", ".join(f"{name} = {dims[name]}" for name in sorted(chosen))
        sizes = replace(sizes, notes=(*sizes.notes, f"inputs whose values are given: {taken}"))
    shapes, kinds = _inferred(model, initialisers, constants, sizes, shown)
    opsets = {o.domain: o.version for o in model.opset_import}
    values = Values(shapes, constants, opsets)
    nodes = _completed(model.graph.node, shapes, kinds, values, folder, shown)
    types = quant.types(nodes, kinds)
    inputs = tuple(value.name for value in outside)
    program = Program(tuple(nodes), dict(constants), opsets, inputs, kinds, types)
    live, fills = [], 0
    for node in nodes:
        folded = _folded(node, values, types)
        constants |= folded
        fills += len(folded) if node.op == "ConstantOfShape" else 0
        if not folded:
            live.append(node)
    return Graph(
        nodes=tuple(live),
        shapes=shapes,
        constants=constants,
        inputs=inputs,
        outputs=tuple(value.name for value in model.graph.output),
        sizes=sizes.with_batch([shapes.get(value.name) for value in model.graph.output], nodes),
        fills=fills,
        types=types,
        values=values,
        program=program,
    )


def _completed(
    protos: Iterable[Any], shapes: dict[str, Dims], kinds: dict[str, int], values: Values, folder: Path, shown: str
) -> list[Node]:
    """Return all operators in running order, branches that are known in their place; enter shapes that lack.

    An operator of which the inference of the whole graph said no shape is inferred alone, with the values of its
    small inputs.
    """
    constants = values.constants
    opset = max((values.opsets.get(domain, 1) for domain in DEFAULT_DOMAINS), default=1)
    nodes: list[Node] = []
    rest = list(protos)[::-1]
    while rest:
        node = Node(rest.pop(), opset, shapes, constants, shown, values.of)
        if node.op == "Constant" and node.outputs:
            constants[node.outputs[0]] = _constant_node(node, folder)
        if len(nodes) + len(rest) < MAX_NODES and (inside := _unrolled(node, values)) is not None:
            for tensor in inside.constants:
                constants[tensor.name] = constant(tensor, folder, shown)
                kinds[tensor.name] = tensor.data_type
            rest += inside.nodes[::-1]
            continue
        values.add(node)
        nodes.append(node)
        if node.op in MISTAKEN:
            for name in node.outputs:
                shapes.pop(name, None)
            continue
        if any(name not in shapes for name in node.outputs):
            found = {name: dims for name, dims in contributed.shapes(node).items() if name not in shapes}
            shapes |= found
            kinds |= {name: kind for name in found if (kind := kinds.get(name) or contributed.kind(node, kinds))}
        if any(name not in shapes for name in node.outputs) and node.proto.domain in DEFAULT_DOMAINS:
            more, types = inferred(node, kinds, values, shapes)
            shapes |= more
            kinds |= {name: kind for name, kind in types.items() if kind}
            for name in node.outputs:
                if name not in shapes and (array := values.of(name)) is not None:
                    shapes[name] = array.shape
    return nodes


def _unrolled(node: Node, values: Values) -> Inlined | None:
    """Return what an operator of control flow becomes if its course is known."""
    if node.op == "If":
        holds = _single(values, node.optional(0))
        return None if holds is None else branch(node, bool(holds))
    turns = None
    if node.op == "Loop":
        ends = node.optional(1)
        turns = _single(values, node.optional(0)) if not ends or _single(values, ends) else None
    elif node.op == "Scan" and node.opset >= FIRST_AXES:
        scanned = node.proto.input[len(node.proto.input) - node.integer("num_scan_inputs", 0) :]
        shapes = [values.shape(name) for name in scanned]
        axes = node.integers("scan_input_axes", (0,) * len(scanned))
        if shapes and all(shapes) and len(axes) == len(shapes):
            turns = shapes[0][axes[0] % len(shapes[0])] if shapes[0] else None
    if turns is None or turns > MAX_TURNS or turns * node.proto.ByteSize() > MAX_UNROLLED_BYTES:
        return None
    return loop(node, int(turns)) if node.op == "Loop" else scan(node, int(turns), [len(dims or ()) for dims in shapes])


def _single(values: Values, name: str) -> int | None:
    """Return the only value of a tensor, if it is known."""
    found = values.of(name) if name else None
    return None if found is None or found.size != 1 else int(found.reshape(-1)[0])


def _inferred(
    model: Any, initialisers: Mapping[str, Any], constants: Mapping[str, Constant], sizes: OpenSizes, shown: str
) -> tuple[dict[str, Dims], dict[str, int]]:
    """Return the shapes and element types that ONNX infers, on a copy of the graph without the large constants.

    Declared shapes of inner tensors are kept only behind operators outside ONNX, which inference does not know.
    """
    import onnx
    from onnx import helper, numpy_helper, shape_inference

    foreign = {name for node in model.graph.node if node.domain not in DEFAULT_DOMAINS for name in node.output}
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = bare.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(value for value in model.graph.input if value.name not in constants)
    for name, known in constants.items():
        tensor = initialisers.get(name)
        kind = onnx.TensorProto.FLOAT if tensor is None else tensor.data_type
        graph.input.append(helper.make_tensor_value_info(name, kind, known.shape))
        if tensor is not None and elements(known.shape) <= SMALL and not isinstance(known.origin, Absent):
            beside = tensor.data_location == onnx.TensorProto.EXTERNAL and known.origin is not None
            graph.initializer.append(numpy_helper.from_array(known.read(), name) if beside else tensor)
    for value in model.graph.value_info:
        if value.name in foreign:
            declared = graph.value_info.add()
            declared.CopyFrom(value)
            sizes.close(declared)
    for value in model.graph.output:
        graph.output.add(name=value.name)
    try:
        result = shape_inference.infer_shapes(bare, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        problem = f"shapes cannot be inferred: {quoted(error)}"
        raise WorkloadError(problem, "export the model again", file=shown) from None
    values = [*result.graph.input, *result.graph.value_info, *result.graph.output]
    shapes = {value.name: dims for value in values if (dims := static(value)) is not None}
    return shapes, {value.name: value.type.tensor_type.elem_type for value in values}


def _folded(node: Node, values: Values, types: Mapping[str, IntType]) -> dict[str, Constant]:
    """Return the node's outputs if they are constants, else nothing."""
    if node.op == "Constant":
        return {name: node.constants[name] for name in node.outputs}
    shape_only = node.op in ("Shape", "Size") and node.optional(0) in node.shapes
    changing = node.has_subgraph or node.op.startswith("Random") or node.op in RANDOM
    if not shape_only and (changing or node.activations or node.proto.domain not in DEFAULT_DOMAINS):
        return {}
    if any(name not in node.shapes for name in node.outputs):
        return {}
    source = node.constants.get(node.optional(0))
    if node.op in ("QuantizeLinear", "DequantizeLinear"):
        source = quant.folded(node, types)
    results = {}
    for name in node.outputs:
        shape = node.shapes[name]
        results[name] = Constant(shape, values.computed(name))
        if source is not None and node.op in SAME_VALUES:
            results[name] = source.reshaped(shape)
        elif source is not None and node.op == "Transpose":
            backwards = tuple(reversed(range(len(source.shape))))
            results[name] = source.transposed(node.integers("perm", backwards))
    return results


def _constant_node(node: Node, folder: Path) -> Constant:
    for attribute in node.proto.attribute:
        if attribute.name == "value":
            return constant(attribute.t, folder, node.shown)
    return Constant(node.shapes.get(node.outputs[0], ()))
