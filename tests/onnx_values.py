"""What an imported network computes on real numbers, layer by layer in NumPy, to hold against ONNX Runtime."""

import numpy as np

from accelsim.workload.lowering import lowered

UNARY = {
    "abs": np.abs,
    "add": lambda x: x,
    "copy": lambda x: x,
    "exp": np.exp,
    "log": np.log,
    "mul": lambda x: x,
    "pow": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sqrt": np.sqrt,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
BINARY = {"add": np.add, "mul": np.multiply, "sub": np.subtract, "div": np.divide, "equal": np.equal}


def run(network, feed, turned=()):
    """Return tensor name -> float64 array, of every tensor that a layer makes; views must say what they take.

    The second operand of the products ``turned`` lies transposed, which a layer does not say.
    """
    values = {name: np.asarray(array, np.float64) for name, array in feed.items()}
    for name, tensor in network.tensors.items():
        if tensor.weight and name in network.values:
            values[name] = np.asarray(network.values[name], np.float64)
    for layer in lowered(network).layers:
        shape = layer.shape
        given = [values[n].reshape(d) for n, d in zip(layer.inputs, shape.input_shapes, strict=True)]
        if layer.name in turned:
            batch, k, n = given[1].shape
            given[1] = given[1].reshape(batch, n, k).transpose(0, 2, 1)
        weights = [values[name] for name in layer.weights]
        result = OPERATIONS[layer.kind](shape, given, weights)
        values[layer.outputs[0]] = np.asarray(result, np.float64).reshape(network.tensors[layer.outputs[0]].shape)
    return values


def _linear(shape, given, weights):
    return given[0] @ weights[0].T + (weights[1] if len(weights) > 1 else 0)


def _conv(shape, given, weights):
    top, left, bottom, right = shape.pad
    x = np.pad(given[0], ((0, 0), (0, 0), (top, bottom), (left, right)))
    out = np.zeros(shape.output_shape)
    each, filters = shape.k // shape.groups, shape.c // shape.groups
    for k in range(shape.k):
        group = k // each * filters
        for e in range(shape.e):
            for f in range(shape.f):
                rows = e * shape.stride[0] + np.arange(shape.r) * shape.dilation[0]
                columns = f * shape.stride[1] + np.arange(shape.s) * shape.dilation[1]
                window = x[:, group : group + filters][:, :, rows][:, :, :, columns]
                out[:, k, e, f] = (window * weights[0][k]).sum(axis=(1, 2, 3))
    return out + (weights[1].reshape(1, -1, 1, 1) if len(weights) > 1 else 0)


def _pool(shape, given, weights):
    assert shape.pad == (0, 0, 0, 0)
    reduce = {"max": np.max, "min": np.min, "sum": np.sum, "average": np.mean}[shape.op]
    out = np.zeros(shape.output_shape)
    for e in range(shape.e):
        for f in range(shape.f):
            row, column = e * shape.stride[0], f * shape.stride[1]
            out[:, :, e, f] = reduce(given[0][:, :, row : row + shape.r, column : column + shape.s], axis=(2, 3))
    return out


def _elementwise(shape, given, weights):
    operands = [*given, *weights]
    if len(operands) == 1:
        return np.broadcast_to(UNARY[shape.op](operands[0]), shape.shape)
    result = operands[0]
    for other in operands[1:]:
        result = BINARY[shape.op](result, other)
    return result


def _view(shape, given, weights):
    if shape.op == "concat":
        return np.concatenate(given, shape.axis)
    if shape.op == "slice":
        return given[0].take(range(shape.start, shape.start + shape.shape[shape.axis]), shape.axis)
    assert shape.op not in ("crop", "repeat"), "such a view does not say what it takes"
    return given[0]


def _softmax(shape, given, weights):
    rows = given[0].reshape(-1, shape.length)
    powers = np.exp(rows - rows.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


OPERATIONS = {
    "linear": _linear, "conv2d": _conv, "matmul": lambda shape, given, weights: given[0] @ given[1], "pool": _pool,
    "elementwise": _elementwise, "view": _view, "softmax": _softmax,
}  # fmt: skip
