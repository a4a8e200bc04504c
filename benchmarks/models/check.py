"""One file on `edge_npu`: is it whole, are its MACs right, are its values those of ONNX Runtime."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import accelsim
from accelsim.errors import UserError
from accelsim.operands import golden
from accelsim.workload.layers import Layer
from accelsim.workload.network import Network
from accelsim.workload.shapes import Conv2d, Elementwise, Linear, Matmul, Pool, Softmax, View
from benchmarks.models import independent

MACHINE = "edge_npu"
VALUES_BELOW_MACS = 300_000_000
"""Larger networks are not compared by value."""
CHECK_BELOW_MACS = 3_000_000
"""Larger networks run without ``--check``, whose cost is that of every MAC."""
PLAIN = {**dict.fromkeys(("add", "sub", "mul", "div"), 2), **dict.fromkeys(("sigmoid", "tanh", "relu", "sqrt"), 1)}
"""Operations without parameters -> their operands."""
UNSAID = ("ArgMax", "ArgMin", "ConvTranspose", "DynamicQuantizeLinear", "Einsum", "LogSoftmax")
"""Operators whose layers cost what they cost and do not say where values lie, or which of them is the result."""
TOLERANCE = 1e-3
"""Of the largest magnitude of a tensor: the runtime sums in float32."""


def check(path: Path, dims: Mapping[str, int]) -> dict[str, Any]:
    """Return what there is to say of a file, in plain values."""
    started = time.process_time()
    row: dict[str, Any] = {"refused": "", "left_out": {}, "macs": None, "independent": None, "problem": ""}
    try:
        network = accelsim.load_network(str(path), dims=dims)
        row["macs"] = network.macs
        small = network.macs is not None and network.macs <= CHECK_BELOW_MACS
        result = accelsim.simulate(MACHINE, network, unsupported="skip", check=small)
    except UserError as error:
        row["refused"] = f"{error.problem}"
    except Exception as error:
        row["refused"] = row["problem"] = f"{type(error).__name__}: {error}"[:300]
    else:
        kinds = {layer.name: layer for layer in network.layers}
        left = [layer for layer in result.layers if not layer.simulated]
        row["left_out"] = dict(Counter(_operator(kinds[layer.name]) for layer in left))
        row["reasons"] = sorted({f"{_operator(kinds[x.name])}: {x.reason}" for x in left})[:20]
        checked = [layer.checked for layer in result.layers if layer.checked is not None]
        row["checked"] = [sum(checked), len(checked)]
    try:
        model = independent.opened(path)
        given = independent.feed(model, dims)
        row["independent"] = independent.counted_macs(model, given)
        if not row["refused"] and (row["macs"] or 0) <= VALUES_BELOW_MACS:
            row["equal"], row["compared"], row["differ"] = values(network, model, given)
    except Exception as error:
        row["problem"] = row["problem"] or f"ONNX Runtime: {type(error).__name__}: {error}"[:300]
    row["seconds"] = round(time.process_time() - started, 1)
    return row


def _operator(layer: Layer) -> str:
    return str(getattr(layer.shape, "op", layer.kind)) if layer.kind != "softmax" else "softmax"


def values(network: Network, model: Any, given: Mapping[str, np.ndarray]) -> tuple[int, int, list[str]]:
    """Return how many layers give the runtime's output from the runtime's inputs, of how many that can be compared."""
    names = {name for layer in network.layers if _compared(layer) for name in (*layer.inputs, *layer.outputs)}
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    found: dict[str, np.ndarray] = independent.tensors(model, names, given)
    equal, compared, differ = 0, 0, []
    for layer in network.layers:
        if not _compared(layer) or not all(name in found or name in network.values for name in layer.inputs):
            continue
        if not all(name in network.values for name in layer.weights):
            continue
        ours = computed(network, layer, found)
        if ours is None or layer.outputs[0] not in found:
            if ours is not None:  # a tensor between the parts of one operator
                found[layer.outputs[0]] = ours
            continue
        if makers.get(layer.outputs[0]) in UNSAID or _windows(layer, found) or _whole_numbers(layer, found):
            continue
        compared += 1
        if _same(ours, found[layer.outputs[0]]):
            equal += 1
        else:
            differ.append(layer.name)
    return equal, compared, differ[:10]


def _same(ours: np.ndarray, expected: np.ndarray) -> bool:
    scale = float(np.abs(expected).max(initial=0))
    return ours.size == expected.size and bool(
        np.abs(ours.ravel() - expected.ravel()).max(initial=0) <= TOLERANCE * scale
    )


def _windows(layer: Layer, found: Mapping[str, np.ndarray]) -> bool:
    """Whether it pools over three dimensions: its windows are rows, in an order that the layer does not say."""
    return isinstance(layer.shape, Pool) and found[layer.inputs[0]].ndim > 4 and layer.parent == ""


def _whole_numbers(layer: Layer, found: Mapping[str, np.ndarray]) -> bool:
    """Whether it multiplies integers, which have a zero point of their own."""
    return any(name in found and found[name].dtype.kind in "iu" for name in layer.inputs)


def _compared(layer: Layer) -> bool:
    """Products, pools and softmax; and all parts of an operator that became several layers."""
    return isinstance(layer.shape, Conv2d | Linear | Matmul | Pool | Softmax) or (
        layer.parent != "" and isinstance(layer.shape, Elementwise | View)
    )


def computed(network: Network, layer: Layer, found: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return a layer's output in float64 from its shape and its tensors, None where the shape does not say it."""
    shape = layer.shape
    given = [
        np.asarray(found[name] if name in found else network.values[name], np.float64).reshape(dims)
        for name, dims in zip(layer.inputs, shape.input_shapes, strict=True)
    ]
    weights = [np.asarray(network.values[name], np.float64) for name in layer.weights]
    if isinstance(shape, Linear):
        result = given[0] @ weights[0].T
        return result + weights[1] if len(weights) > 1 else result
    if isinstance(shape, Matmul):
        return given[0] @ given[1]
    if isinstance(shape, Conv2d):
        result = golden.convolve_reals(shape, given[0], weights[0])
        return result + weights[1].reshape(1, -1, 1, 1) if len(weights) > 1 else result
    if isinstance(shape, Softmax):
        rows = given[0].reshape(-1, shape.length)
        powers = np.exp(rows - rows.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)
    if isinstance(shape, Pool):
        return _pool(shape, given[0])
    operands = [*given, *weights]
    if isinstance(shape, View):
        return None if shape.op in ("crop", "repeat") else golden.reshape(shape, given)
    assert isinstance(shape, Elementwise)
    if shape.op in PLAIN and len(operands) == PLAIN[shape.op]:
        return golden.elementwise(shape.op, operands, layer.name)
    return None


def _pool(shape: Pool, x: np.ndarray) -> np.ndarray:
    """Reduce each window over the taps inside the image, or inside the padded one."""
    top, left, bottom, right = shape.pad
    below = max(bottom, (shape.e - 1) * shape.stride[0] + shape.r - shape.h - top)
    beside = max(right, (shape.f - 1) * shape.stride[1] + shape.s - shape.w - left)
    edges = ((0, 0), (0, 0), (top, below), (left, beside))
    padded = np.pad(x, edges, constant_values=np.nan)
    if shape.count_pad:
        inner = padded[:, :, : top + shape.h + bottom, : left + shape.w + right]
        inner[np.isnan(inner)] = 0
    windows = np.lib.stride_tricks.sliding_window_view(padded, (shape.r, shape.s), axis=(2, 3))
    windows = windows[:, :, :: shape.stride[0], :: shape.stride[1]][:, :, : shape.e, : shape.f]
    reduce = {"max": np.nanmax, "min": np.nanmin, "sum": np.nansum, "average": np.nanmean}[shape.op]
    return np.asarray(reduce(windows, axis=(4, 5)))
