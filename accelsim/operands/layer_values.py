"""What a layer computes on reals, by its shape alone; what its shape does not say is refused."""

from __future__ import annotations

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.operands.golden import BINARY, convolve_reals, elementwise, normalize, pool, reshape, softmax
from accelsim.operands.handle import from_conv_output, to_conv_input, to_conv_weight
from accelsim.operands.rounding import RefusedValuesError
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Softmax, View, elements

ONE_SIDED = ("sub", "div", "pow", "mod", "less", "lessorequal", "greater", "greaterorequal", "where")
"""Operations that depend on the order of operands, of which a layer lists constant ones last."""
MOVED = ("transpose", "crop", "repeat")
"""Views that do not say where an element goes."""
SETTINGS = ("leakyrelu", "elu", "hardsigmoid")
"""Operations with a setting that a layer does not carry."""
UNSAID = ("clip", "quantize", "linear", "bilinear", "trilinear", "floor", "ceil", "round")
"""Operations whose bounds, scales or results are not part of a layer, or which `golden` times as copies."""


def layer_reals(view: LayerView, inputs: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    """Return a layer's output in its tensor's shape.

    Parameters
    ----------
    view : LayerView
    inputs, weights : list of ndarray
        Reals of the layer's tensors; of a product a second weight is the bias, of a normalisation the scale and the
        shift.

    Raises
    ------
    RefusedValuesError
        A layer whose shape does not say what it computes.
    """
    shape = view.shape
    try:
        with np.errstate(all="ignore"):
            if hasattr(shape, "as_conv"):
                result = _product(view, inputs, weights)
            elif isinstance(shape, Pool):
                result = pool(shape, inputs[0].reshape(shape.input_shapes[0]).astype(np.float64))
            elif isinstance(shape, Elementwise):
                result = _elementwise(shape, inputs, weights)
            elif isinstance(shape, Softmax):
                result = softmax(inputs[0].astype(np.float64).reshape(-1, shape.length))
            elif isinstance(shape, Normalization):
                result = _normalized(shape, inputs[0].reshape(shape.shape).astype(np.float64), weights)
            elif isinstance(shape, View):
                if shape.op in MOVED:
                    raise RefusedValuesError(f"a view '{shape.op}' does not say where an element goes")
                parts = [array.reshape(dims) for array, dims in zip(inputs, shape.inputs, strict=True)]
                result = reshape(shape, parts)
            else:
                raise RefusedValuesError(f"no values are known for '{shape.kind}'")
    except (WorkloadError, ValueError, TypeError) as error:
        raise RefusedValuesError(getattr(error, "problem", None) or str(error)) from None
    dims = view.output.shape
    if elements(dims) != result.size:
        raise RefusedValuesError(f"it would give {result.size} elements for {list(dims)}")
    return result.reshape(dims)


def _product(view: LayerView, inputs: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    conv = view.conv
    filters = weights[0] if weights else inputs[1]
    x, w = to_conv_input(view, inputs[0]), to_conv_weight(view, filters)
    result = convolve_reals(conv, x, w)
    if len(weights) > 1:
        result = result + weights[1].reshape(conv.k, 1, 1)
    return from_conv_output(view, result)


def _elementwise(shape: Elementwise, inputs: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    arrays = [array.reshape(dims) for array, dims in zip(inputs, shape.inputs, strict=True)]
    if shape.op in UNSAID:
        raise RefusedValuesError(f"what '{shape.op}' computes is not part of the layer")
    if shape.op in (*BINARY, "where"):
        if len(arrays) + len(weights) < (3 if shape.op == "where" else 2):
            raise RefusedValuesError(f"the other operand of '{shape.op}' is not part of the layer")
        if shape.op in ONE_SIDED and weights:
            raise RefusedValuesError(f"on which side of '{shape.op}' its constant stands is not said")
        arrays += weights
    elif len(arrays) + len(weights) != 1:
        raise RefusedValuesError(f"'{shape.op}' of several operands")
    elif _squeezed(arrays[0].shape) != _squeezed(shape.shape):
        raise RefusedValuesError(f"a '{shape.op}' does not say where an element goes")
    return elementwise(shape.op, arrays)


def _squeezed(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in dims if size > 1)


def _normalized(shape: Normalization, x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    result = normalize(shape, x)
    if len(weights) > 2:
        raise RefusedValuesError("which of its constants is what is not said")
    if weights and shape.op != "lrn":
        rest = (1,) * (x.ndim - 2) if shape.op in ("batch", "affine") else ()
        result = result * weights[0].reshape(-1, *rest)
        if len(weights) > 1:
            result = result + weights[1].reshape(-1, *rest)
    return result
