"""Multiply-accumulates and values of an ONNX file by ONNX Runtime, blind to accelsim.

The runtime runs the model unoptimised and profiles it: a record per operator that really ran, bodies of branches and
loops included, with the shapes that its tensors really had. The counts follow from these shapes by the operators'
definitions. Products of constants are left out: they are no work at inference.
"""

from __future__ import annotations

import json
import string
import tempfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def opened(path: Path) -> onnx.ModelProto:
    """Return the model with its functions expanded and every operator named by a number."""
    model = onnx.load(path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    for i, node in enumerate(nodes(model.graph)):
        node.name = f"node{i}"
    return model


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the operators of a graph and of its bodies."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                yield from nodes(body)


def feed(model: onnx.ModelProto, dims: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return random inputs of the sizes that are given; an input that is named itself has that value."""
    stored = {tensor.name for tensor in model.graph.initializer}
    random, made = np.random.default_rng(0), {}
    for value in model.graph.input:
        if value.name in stored:
            continue
        kind = value.type.tensor_type
        shape = [
            dims.get(dim.dim_param) or dims.get(f"{value.name}.{axis}") or max(dim.dim_value, 0) or dims.get("batch", 1)
            for axis, dim in enumerate(kind.shape.dim)
        ]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if value.name in dims:
            array = np.full([1] * len(shape), dims[value.name])
        elif np.dtype(dtype).kind == "f":
            array = random.standard_normal(shape)
        else:
            array = random.integers(0, 3, shape)
        made[value.name] = array.astype(dtype)
    return made


def session(model: onnx.ModelProto, profile: str | None = None) -> Any:
    """Return a session on one thread that changes nothing of the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def counted_macs(model: onnx.ModelProto, given: Mapping[str, np.ndarray]) -> int:
    """Return the dense multiply-accumulates of one run; ValueError for a product whose count is not known here."""
    constant = constants(model.graph)
    known = {node.name: node for node in nodes(model.graph)}
    with tempfile.TemporaryDirectory() as folder:
        running = session(model, str(Path(folder) / "profile"))
        running.run(None, dict(given))
        records = json.loads(Path(running.end_profiling()).read_text())
    total = 0
    for record in records:
        details = record.get("args", {})
        name = record["name"].removesuffix("_kernel_time")
        if record["cat"] != "Node" or name == record["name"] or name in constant:
            continue
        ins, outs = (
            [tuple(dims) for item in details[key] for dims in item.values()]
            for key in ("input_type_shape", "output_type_shape")
        )
        total += macs(details["op_name"], ins, outs, known.get(name))
    return total


def macs(op: str, ins: list[tuple[int, ...]], outs: list[tuple[int, ...]], node: onnx.NodeProto | None) -> int:
    """Return the multiply-accumulates of an operator that ran."""
    if op in ("Conv", "ConvInteger", "FusedConv"):
        return prod(outs[0]) * prod(ins[1][1:])
    if op == "QLinearConv":
        return prod(outs[0]) * prod(ins[3][1:])
    if op == "ConvTranspose":
        return prod(ins[0]) * prod(ins[1][1:])
    if op in ("MatMul", "MatMulInteger"):
        return prod(outs[0]) * ins[0][-1]
    if op == "Gemm":
        rows = outs[0][0]
        return prod(outs[0]) * (prod(ins[0]) // rows)
    if op in GATES:
        directions, each, width = ins[1]
        hidden = each // GATES[op]
        return prod(ins[0][:-1]) * directions * each * (width + hidden)
    if op == "DynamicQuantizeLSTM":
        return prod(ins[0][:-1]) * prod(ins[1]) + prod(ins[0][:-1]) * prod(ins[2])
    if op == "Einsum":
        return _einsum(node, ins)
    if op in ("Attention", "QAttention", "FusedMatMul", "QGemm", "DeformConv", "DFT", "STFT"):
        raise ValueError(f"the independent count does not know {op}")
    return 0


def _einsum(node: onnx.NodeProto | None, ins: list[tuple[int, ...]]) -> int:
    """Two operands are a product over all letters; one is a sum or a transposition."""
    if node is None:
        raise ValueError("an Einsum without its equation")
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, dims in zip(terms, ins, strict=True):
        dots = len(dims) - len(term.replace("...", ""))
        letters = term.replace("...", string.digits[10 - dots :] if dots else "")
        for letter, size in zip(letters, dims, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values()) * (len(terms) - 1)


def constants(graph: onnx.GraphProto) -> set[str]:
    """Return the names of operators whose results follow from the file and from shapes, not from inputs' values."""
    fixed = {tensor.name for tensor in graph.initializer} | {""}
    found = set()
    for node in graph.node:
        if node.op_type in ("Shape", "Size") or (
            all(name in fixed for name in node.input) and not any(a.type == a.GRAPH for a in node.attribute)
        ):
            found.add(node.name)
            fixed.update(node.output)
    return found


def tensors(model: onnx.ModelProto, names: set[str], given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the values of some tensors between the operators of the outer graph."""
    made = {name for node in model.graph.node for name in node.output}
    wanted = sorted(names & made)
    if not wanted:
        return dict(given)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    found = session(model).run(wanted, dict(given))
    return {**dict(zip(wanted, found, strict=True)), **given}
